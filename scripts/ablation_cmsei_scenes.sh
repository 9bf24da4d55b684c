#!/bin/sh
# What each part of CMSEI adds on the demo world: the rows of the paper's Table 5 that remove one.
# Every row is I-T, T-I and the mean of both, of three seeds. Slow: 36 trainings of some minutes
# each, JOBS at a time; train.precision=bf16 is faster where the processor computes in it. Finished
# runs are kept, so it may be stopped and started again. More ROWS: what the paper leaves open,
# clipped (model.attention), enhanced (model.global_from), projected (model.semantic_nodes),
# symmetric (model.symmetric_relations) and norm (model.graph_norm).
#   [DATA_PATH=data] [OUT=runs/ablation_cmsei] [ROWS="full no_vsg no_vsrg no_tg no_llii no_lgii"] \
#       [SEEDS="0 1 2"] [JOBS=2] sh scripts/ablation_cmsei_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_cmsei.yaml --settings "$@" > /dev/null

setting_of() { # what a row changes
    case $1 in
    full) ;;
    no_vsg) echo model.use_spatial_graph=false ;;
    no_vsrg) echo model.use_semantic_graph=false ;;
    no_tg) echo model.use_text_graph=false ;;
    no_llii) echo model.use_local_interaction=false ;;
    no_lgii) echo model.use_global_interaction=false ;;
    clipped) echo model.attention=clipped_l2norm ;;
    enhanced) echo model.global_from=enhanced ;;
    projected) echo model.semantic_nodes=projected ;;
    symmetric) echo model.symmetric_relations=true ;;
    norm) echo model.graph_norm=batch ;;
    *)
        echo "error: ROWS names $1, expected full, no_vsg, no_vsrg, no_tg, no_llii, no_lgii," \
            "clipped, enhanced, projected, symmetric or norm" >&2
        exit 1
        ;;
    esac
}

ROWS=${ROWS:-full no_vsg no_vsrg no_tg no_llii no_lgii}
SEEDS=${SEEDS:-0 1 2}
for row in $ROWS; do
    setting_of "$row" >/dev/null
done
DATA_PATH=${DATA_PATH:-data}
. scripts/scenes.sh
out=${OUT:-runs/ablation_cmsei}
. scripts/jobs.sh
keep_settings "$@"

for seed in $SEEDS; do
    for row in $ROWS; do
        setting=$(setting_of "$row")
        for direction in i2t t2i; do
            start "$row-$direction-$seed" seeded configs/scenes_cmsei.yaml "$row-$direction" \
                "$seed" model.bert="$DATA_PATH/scenes_precomp/bert" model.direction="$direction" \
                ${setting:+"$setting"} "$@"
        done
    done
done
join
for seed in $SEEDS; do
    for row in $ROWS; do
        "$PYTHON" eval_ensemble.py "$out/$row-i2t-$seed/results.safetensors" \
            "$out/$row-t2i-$seed/results.safetensors" --json "$out/$row-$seed/results.json" \
            >"$out/$row-$seed.log"
    done
done
"$PYTHON" scripts/results_table.py --format markdown "$out"
