"""Scores a checkpoint, ours or a released one, or a model of the Hugging Face hub.

python eval.py --checkpoint runs/f30k_region
python eval.py --checkpoint released/model_best.pth --dataset coco --features region
python eval.py --hub google/siglip-base-patch16-224 --dataset f30k --images PICTURES
torchrun --nproc_per_node 4 eval.py --checkpoint runs/coco_region             # on four GPUs
python eval.py --checkpoint runs/coco_region --save_embeddings runs/coco_region/embeddings

The last line writes a folder of float16 vectors in shards, which is resumed where it was stopped;
torchrun or srun starts several processes, on one machine or many, that share its shards.
Every picture and sentence is encoded once, whatever the number of protocols and benchmarks."""

import argparse
import sys
from contextlib import nullcontext
from functools import partial

from lib.arguments import new_parser
from lib.checkpoint import source_of
from lib.distributed import process_group, rank
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import add_arguments, add_model, add_outputs, keep_of, target_of
from lib.evaluation.encode_shards import Unscored
from lib.evaluation.evaluator import Scored, Shortlist, origin_to_be, score_checkpoint
from lib.evaluation.extra_arguments import add_extras, extras_of
from lib.evaluation.opened import FeatureChoice, Target, benchmarks_of
from lib.evaluation.products import matrix_of
from lib.evaluation.records import Results, require_replaceable_record, single_record, write_record
from lib.evaluation.report import format_table, transfer
from lib.evaluation.scores import require_replaceable_file, save_embeddings, save_results
from lib.evaluation.shard_writer import require_replaceable_folder
from lib.models.common.hub import hub_word
from lib.outputs import check_outputs


def main(words: list[str] | None = None) -> None:
    """Encode once, score, print and save what the command line, or ``words``, asks for."""
    parser = new_parser(__doc__)
    add_model(parser)
    add_arguments(parser, per_checkpoint=False)
    add_extras(parser, models=True)
    add_outputs(parser)
    args = parser.parse_args(words)
    if (args.shortlist is None) != (args.first_stage is None):
        parser.error("--shortlist and --first_stage go together")
    if args.shortlist is not None and args.shortlist < 1:
        parser.error("--shortlist must be at least 1")
    extras = extras_of(parser, args)
    if args.shortlist is not None and extras.perturb:
        parser.error("--perturb scores all pairs anew, and --shortlist some; leave one out")
    with exit_on_error():
        shortlist = None
        if args.shortlist is not None:
            args.first_stage = source_of(args.first_stage)
            shortlist = Shortlist(args.shortlist, args.first_stage)
        args.checkpoint = source_of(hub_word(args.hub) if args.hub is not None else args.checkpoint)
        target = target_of(parser, args, args.checkpoint)
        choice = FeatureChoice(args.features, args.features_folder, args.grid_size, args.images)
        wanted = (args.checkpoint, target.dataset, target.split)
        same = (wanted, partial(origin_to_be, args.checkpoint, target, choice, shortlist))
        keep = keep_of(args)
        if keep is not None:
            require_replaceable_folder(*same, keep.folder)
        vectors_file = args.save_embeddings if keep is None else None
        outputs = [
            (args.json, partial(require_replaceable_record, *same)),
            (args.save_results, partial(require_replaceable_file, "scores", *same)),
            (vectors_file, partial(require_replaceable_file, "images", *same)),
        ]
        stages = [args.first_stage] if shortlist else []
        check_outputs(outputs, [args.checkpoint, *stages])
        # Shards need no messages between processes: one that dies holds up nobody.
        with process_group(target.device) if keep is None else nullcontext():
            others = benchmarks_of(extras, target)
            vectors = bool(args.save_embeddings)
            asked = (args.checkpoint, target, choice, vectors, shortlist, extras.perturb, keep)
            try:
                scored = score_checkpoint(*asked)
            except Unscored as told:
                print(told)
                return
            if rank() == 0:
                about = (scored.scores, target.dataset, target.split, others)
                for note in others.left_out(scored.vectors) if others is not None else ():
                    print(f"note: {note}", file=sys.stderr)
                results = extras.evaluate(*about, scored.vectors, scored.perturbed)
                report(args, target, scored, results)


def report(args: argparse.Namespace, target: Target, scored: Scored, results: Results) -> None:
    """Print and save what the arguments ask for."""
    origin, split, dataset = scored.origin, scored.split, target.dataset
    if args.grid_size is not None and origin.features != "grid":
        raise InputError(
            f"--grid_size is for grid features; this checkpoint gets {origin.features}"
        )
    print(f"{args.checkpoint}: {origin.title} on {dataset}, {len(split.image_ids):,} images")
    if crossing := transfer([origin], dataset):
        print(crossing)
    print(f"features: {split.features.describe()}")
    if scored.note:
        print(scored.note)
    print(format_table(origin, dataset, target.split, results))
    about = (split.image_ids, dataset, target.split, origin)
    if args.save_results:
        save_results(args.save_results, matrix_of(scored.scores), *about)
    if args.save_embeddings and scored.vectors is not None and keep_of(args) is None:
        save_embeddings(args.save_embeddings, *scored.vectors, *about)
    if args.json:
        write_record(args.json, single_record(origin, dataset, target.split, results))
    if written := [f for f in (args.save_results, args.save_embeddings, args.json) if f]:
        print(f"written: {', '.join(written)}")


if __name__ == "__main__":
    main()
