#!/bin/sh
# Measures on one GPU, in under 25 minutes, everything that was never measured without one, and
# prints it as Markdown, as benchmarks/RESULTS.md has it:
#   sh benchmarks/gpu.sh [--sections steps parity ...] > gpu.md
#   sh benchmarks/gpu.sh --device cpu --tiny            # to see that all of it runs
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec "$PYTHON" -m benchmarks.gpu "$@"
