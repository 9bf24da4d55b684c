#!/bin/sh
# Sets PYTHON to an interpreter that has the pins of requirements.txt, and LAUNCH to what starts
# train.py and eval.py; other scripts source it from the repository's root. An active environment
# that has the pins is used as it is; else .venv is made, once, from the first Python 3.10 or
# newer. Alone, it only sets up:  sh scripts/setup.sh
#
# What LAUNCH is, for every script that trains or evaluates:
#   PROCESSES=4                           so many processes on this machine, each on a GPU of its own
#   NODES=2 RENDEZVOUS=first-host:29500   on several machines: the same command on each of them, with
#                                         the address of one; RUN_ID=NAME where two runs share it
set -eu

has_pins() {
    "$1" - <<'PY' >/dev/null 2>&1
from importlib.metadata import version
from packaging.requirements import Requirement
lines = (line.split("#")[0].strip() for line in open("requirements.txt"))
wanted = [Requirement(line) for line in lines if line]
wanted = [r for r in wanted if r.marker is None or r.marker.evaluate()]
assert all(r.specifier.contains(version(r.name), prereleases=True) for r in wanted)
PY
}

case $0 in
setup.sh | */setup.sh) # alone; who sources it is at the root
    . "$(dirname -- "$0")/help.sh"
    CDPATH='' cd -- "$(dirname -- "$0")/.."
    ;;
esac

PYTHON=
for candidate in python python3 .venv/bin/python; do
    if command -v "$candidate" >/dev/null 2>&1 && has_pins "$candidate"; then
        PYTHON=$candidate
        break
    fi
done

if [ -z "$PYTHON" ]; then
    base=
    for candidate in python3 python python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)' \
            >/dev/null 2>&1; then
            base=$candidate
            break
        fi
    done
    if [ -z "$base" ]; then
        echo "error: no Python 3.10 or newer with its venv module was found" \
            "(on Debian and Ubuntu: apt install python3-venv)" >&2
        exit 1
    fi
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        "$base" -m venv .venv # completes one that was interrupted
    fi
    PYTHON=.venv/bin/python
    if ! "$PYTHON" -c 'import sys; assert sys.version_info >= (3, 10)' 2>/dev/null; then
        echo "error: .venv has a Python older than 3.10; remove the folder and start again" >&2
        exit 1
    fi
    echo "Installing the pins of requirements.txt into .venv (some minutes, about 5 GB)..." >&2
    if ! "$PYTHON" -m pip install --quiet --disable-pip-version-check -r requirements.txt \
        >.venv/pip.log 2>&1; then
        tail -n 20 .venv/pip.log >&2
        echo "error: the pins could not be installed; all of pip's output is in .venv/pip.log" >&2
        exit 1
    fi
fi

# What trains and evaluates: one process, or PROCESSES of them on each of NODES machines.
LAUNCH=$PYTHON
for number in "PROCESSES ${PROCESSES:-1}" "NODES ${NODES:-1}"; do
    case ${number#* } in
    *[!0-9]* | 0* | '')
        echo "error: ${number%% *} is ${number#* }, expected a number from 1" >&2
        exit 1
        ;;
    esac
done
if [ "${NODES:-1}" -gt 1 ]; then
    port=${RENDEZVOUS:+${RENDEZVOUS##*:}}
    case ${RENDEZVOUS:-}/$port in
    *[!A-Za-z0-9_.:/-]* | */ | */*[!0-9]* | :*)
        echo "error: RENDEZVOUS is ${RENDEZVOUS:-not set}, expected HOST:PORT of one of the $NODES" \
            "machines, the same on all of them" >&2
        exit 1
        ;;
    esac
    case ${RUN_ID:-run} in
    *[!A-Za-z0-9_.-]*)
        echo "error: RUN_ID is $RUN_ID, expected letters, digits, dots, dashes" >&2
        exit 1
        ;;
    esac
    LAUNCH="$PYTHON scripts/launch.py --nnodes $NODES --nproc_per_node ${PROCESSES:-1}"
    LAUNCH="$LAUNCH --rdzv_backend c10d --rdzv_endpoint $RENDEZVOUS --rdzv_id ${RUN_ID:-run}"
elif [ "${PROCESSES:-1}" -gt 1 ]; then
    LAUNCH="$PYTHON scripts/launch.py --standalone --nproc_per_node $PROCESSES"
fi
