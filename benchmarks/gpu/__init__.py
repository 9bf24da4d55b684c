"""What was never measured without a GPU, in one command: ``sh benchmarks/gpu.sh``."""
