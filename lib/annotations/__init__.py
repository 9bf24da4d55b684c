"""Captions, splits and masks of other data sets, in the files that they are published in."""
