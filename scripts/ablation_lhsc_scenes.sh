#!/bin/sh
# What each part of LHSC adds on the demo world: depth of the graph, word attention, the global part,
# the filter, the release's padding, BERT in place of words; two seeds each, one table of rSum.
# Slow: 18 trainings of some minutes. Finished runs are kept, so it may be stopped and started again.
#   [DATA_PATH=data] [OUT=runs/ablation_lhsc] [SEEDS="0 1"] [JOBS=2] \
#       [ROWS="full depth3 depth2 depth1 no_attention no_global no_filter padding bert"] \
#       sh scripts/ablation_lhsc_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_lhsc.yaml --settings "$@" > /dev/null
DATA_PATH=${DATA_PATH:-data}

setting_of() { # what a row changes
    case $1 in
    full) ;;
    depth[123]) echo "model.graph_layers=${1#depth}" ;;
    no_attention) echo model.use_word_attention=false ;;
    no_global) echo model.use_global=false ;;
    no_filter) echo model.use_filter=false ;;
    padding) echo model.padding=released ;;
    bert) echo "model.bert=$DATA_PATH/scenes_precomp/bert" ;;
    *)
        echo "error: ROWS names $1, expected full, depth1, depth2, depth3, no_attention," \
            "no_global, no_filter, padding or bert" >&2
        exit 1
        ;;
    esac
}

ROWS=${ROWS:-full depth3 depth2 depth1 no_attention no_global no_filter padding bert}
for row in $ROWS; do
    setting_of "$row" > /dev/null
done
. scripts/scenes.sh
out=${OUT:-runs/ablation_lhsc}
. scripts/jobs.sh
keep_settings "$@"

for seed in ${SEEDS:-0 1}; do
    for row in $ROWS; do
        setting=$(setting_of "$row")
        scale= # BERT starts random here, and learns at the rate of the rest
        [ "$row" != bert ] || scale=model.bert_lr_scale=1
        start "$row-$seed" seeded configs/scenes_lhsc.yaml "$row" "$seed" \
            ${setting:+"$setting"} ${scale:+"$scale"} "$@"
    done
done
join
"$PYTHON" scripts/results_table.py --format markdown "$out"
