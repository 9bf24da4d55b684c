"""Faults put to the commands by :mod:`benchmarks.faults`, group by group."""
