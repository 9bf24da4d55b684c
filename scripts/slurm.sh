#!/bin/sh
# A Slurm job that trains a row, however often it is stopped: sbatch scripts/slurm.sh DATASET_FEATURE.
#   [DATA_PATH=data] sbatch [sbatch's options] scripts/slurm.sh coco_region [section.key=value ...]
#   sbatch --nodes=2 --gpus-per-node=4 scripts/slurm.sh coco_region train.sync_batchnorm=true
# Submit it from the repository's root, with a partition and an account where your cluster wants them.
# Set up first, on a machine with a network: sh scripts/setup.sh. There is a process per GPU on each
# node, as scripts/train.sh starts them. Five minutes before the time is up Slurm warns the job: the
# training saves, the job goes back to the queue, and its next turn resumes. On a node's failure or a
# preemption it goes back too, and resumes after the last epoch that was saved. PORT is of the first
# node, 29500 unless it is set.

#SBATCH --job-name=3shnet
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
case ${1:-} in
-h | --help) . "$(dirname -- "$0")/help.sh" ;;
esac
set -eu
cd -- "${SLURM_SUBMIT_DIR:-.}" # Slurm runs a copy that lies elsewhere
if [ -z "${SLURM_JOB_ID:-}" ]; then
    echo "error: this is a job for Slurm: sbatch scripts/slurm.sh DATASET_FEATURE" >&2
    exit 2
fi
if [ ! -f scripts/train.sh ]; then
    echo "error: $PWD is not the repository's root; submit the job from there" >&2
    exit 2
fi
row=${1:?"name a row, as in sbatch scripts/slurm.sh coco_region"}
shift
NODES=${SLURM_JOB_NUM_NODES:-1}
PROCESSES=${SLURM_GPUS_ON_NODE:-1}
RENDEZVOUS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):${PORT:-29500}
RUN_ID=$SLURM_JOB_ID
export NODES PROCESSES RENDEZVOUS RUN_ID

# Since 22.05 a step does not inherit the job's cores.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" sh scripts/train.sh "$row" --resume "$@" &
step=$!
warned=
trap 'warned=yes; kill -TERM "$step" 2>/dev/null || :' USR1
trap 'kill -TERM "$step" 2>/dev/null || :' TERM # as scancel sends it: it saves, and stays away
status=0
wait "$step" || status=$?
while kill -0 "$step" 2>/dev/null; do # a signal ends a wait early
    status=0
    wait "$step" || status=$?
done
if [ -n "$warned" ] && [ "$status" -ne 0 ]; then # it saved before its last step was done
    echo "The time is nearly up: job $SLURM_JOB_ID goes back to the queue, and will resume."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
