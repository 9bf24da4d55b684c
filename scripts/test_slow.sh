#!/bin/sh
# The tests that scripts/test.sh leaves out because they take minutes.
exec sh "$(dirname "$0")/test.sh" -m slow "$@"
