#!/bin/sh
# The tests that scripts/test.sh leaves out because they take minutes:
#
#   sh scripts/test_slow.sh [pytest arguments]
#   sh scripts/test_slow.sh mutants [--only TEXT]  # faults that tests must notice
. "$(dirname -- "$0")/help.sh"
set -eu
if [ "${1:-}" = mutants ]; then
    shift
    CDPATH='' cd -- "$(dirname -- "$0")/.."
    . scripts/setup.sh
    exec "$PYTHON" -m tests.mutants "$@"
fi
exec sh "$(dirname "$0")/test.sh" -m slow "$@"
