#!/bin/sh
# Sets itself up, checks style and types, runs the tests:
#
#   sh scripts/test.sh [pytest arguments]
#   sh scripts/test.sh --cov     # and prints which lines of lib/ no test runs
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy lib
exec "$PYTHON" -m pytest "$@"
