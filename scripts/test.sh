#!/bin/sh
# Sets itself up, checks the style, runs the tests:  bash scripts/test.sh [pytest arguments]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
exec "$PYTHON" -m pytest "$@"
