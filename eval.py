"""Score a checkpoint, ours or a released one:
python eval.py --checkpoint P --data_path data --dataset coco
on several GPUs: torchrun --nproc_per_node 4 eval.py ..."""

import argparse
from functools import partial

from lib.config import PRECISIONS
from lib.device import default_workers
from lib.distributed import process_group, rank
from lib.errors import InputError, exit_on_error
from lib.evaluation.evaluator import FeatureChoice, Scored, Target, origin_to_be, score_checkpoint
from lib.evaluation.locations import add_locations, locations_in
from lib.evaluation.protocols import DEFAULT_SPLITS, evaluate
from lib.evaluation.records import require_replaceable_record, single_record, write_record
from lib.evaluation.report import format_table, transfer
from lib.evaluation.scores import require_replaceable_file, save_embeddings, save_results
from lib.outputs import check_outputs


def add_arguments(parser: argparse.ArgumentParser, per_checkpoint: bool) -> None:
    """What to score on and how; ``per_checkpoint``: features are given for each of several."""
    several = {"nargs": "+"} if per_checkpoint else {}
    one = "per checkpoint; " if per_checkpoint else ""
    parser.add_argument("--data_path", required=True, help="holds <dataset>_precomp/")
    parser.add_argument("--dataset", required=True, choices=DEFAULT_SPLITS)
    parser.add_argument("--split", help="default: testall for coco, else test")
    parser.add_argument(
        "--features", choices=("region", "grid"), help=one + "default: as trained", **several
    )
    parser.add_argument(
        "--features_folder",
        help=one + "of one file per image, or of pictures; '' for *_ims.npy",
        **several,
    )
    parser.add_argument("--grid_size", help="side that grids are pooled to, or off")
    add_locations(parser)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--batch_size", type=int, help="encoded at once; default: 128 on a GPU, 32 on a CPU"
    )
    parser.add_argument("--workers", type=int, default=default_workers(2))
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument(
        "--pair_memory_gb", type=float, help="for a family that scores pairs; default: as trained"
    )


def target_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Target:
    """What to score on; leaves with the usage where a value makes no sense."""
    if args.pair_memory_gb is not None and not args.pair_memory_gb > 0:
        parser.error("--pair_memory_gb must be above 0")
    if (args.batch_size is not None and args.batch_size < 1) or args.workers < 0:
        parser.error("--batch_size must be at least 1, --workers at least 0")
    if args.grid_size not in (None, "off") and not (
        args.grid_size.isdecimal() and int(args.grid_size) > 0
    ):
        parser.error("--grid_size must be a number from 1, or off")
    names = ("device", "batch_size", "workers", "precision", "pair_memory_gb")
    split = args.split or DEFAULT_SPLITS[args.dataset]
    options = {name: getattr(args, name) for name in names}
    return Target(args.data_path, args.dataset, split, locations_in(args), **options)


def main(words: list[str] | None = None) -> None:
    """Encode once, score, print and save what the command line, or ``words``, asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="model_best.pth of either format")
    add_arguments(parser, per_checkpoint=False)
    parser.add_argument("--save_results", metavar="F", help="scores and ids, as safetensors")
    parser.add_argument("--save_embeddings", metavar="F", help="likewise; for search")
    parser.add_argument("--json", metavar="F", help="the table's figures as JSON")
    args = parser.parse_args(words)
    target = target_of(parser, args)
    with exit_on_error():
        choice = FeatureChoice(args.features, args.features_folder, args.grid_size)
        wanted = (args.checkpoint, target.dataset, target.split)
        same = (wanted, partial(origin_to_be, args.checkpoint, target, choice))
        outputs = [
            (args.json, partial(require_replaceable_record, *same)),
            (args.save_results, partial(require_replaceable_file, "scores", *same)),
            (args.save_embeddings, partial(require_replaceable_file, "images", *same)),
        ]
        check_outputs(outputs, [args.checkpoint])
        with process_group(target.device):
            vectors = bool(args.save_embeddings)
            scored = score_checkpoint(args.checkpoint, target, choice, vectors)
            if rank() == 0:
                report(args, target, scored)


def report(args: argparse.Namespace, target: Target, scored: Scored) -> None:
    """Print and save what the arguments ask for."""
    origin, split, dataset = scored.origin, scored.split, target.dataset
    if args.grid_size is not None and origin.features != "grid":
        raise InputError(
            f"--grid_size is for grid features; this checkpoint gets {origin.features}"
        )
    results = evaluate(scored.scores, dataset, target.split)
    print(f"{args.checkpoint}: {origin.title} on {dataset}, {len(split.image_ids):,} images")
    if crossing := transfer([origin], dataset):
        print(crossing)
    print(f"features: {split.features.describe()}")
    print(format_table(origin, dataset, target.split, results))
    ids = split.image_ids
    if args.save_results:
        save_results(args.save_results, scored.scores, ids, dataset, target.split, origin)
    if args.save_embeddings:
        images, texts = scored.embeddings.images, scored.embeddings.captions
        arrays = images.numpy(), texts.numpy()
        save_embeddings(args.save_embeddings, *arrays, ids, dataset, target.split, origin)
    if args.json:
        write_record(args.json, single_record(origin, dataset, target.split, results))


if __name__ == "__main__":
    main()
