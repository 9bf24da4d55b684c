"""Score a checkpoint, ours or a released one:
python eval.py --checkpoint P --data_path data --dataset coco
on several GPUs: torchrun --nproc_per_node 4 eval.py ..."""

import argparse

from lib.errors import InputError, reported
from lib.evaluation.protocols import evaluate
from lib.evaluation.record import check_replaceable, single_record, write_record
from lib.evaluation.report import format_table, transfer
from lib.evaluation.results import save_embeddings, save_results
from lib.files import check_writable
from lib.processes import joined, rank
from lib.scoring import Scored, add_arguments, check_arguments, score_checkpoint


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, or ``words`` instead of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="model_best.pth of either format")
    add_arguments(parser, each=False)
    parser.add_argument("--save_results", metavar="F.npz", help="the score matrix and its ids")
    parser.add_argument("--save_embeddings", metavar="F.npz")
    parser.add_argument("--json", metavar="F", help="the table's figures as JSON")
    args = parser.parse_args(words)
    check_arguments(parser, args)
    return args


def run(args: argparse.Namespace) -> None:
    """Encode once, score, print, save."""
    for path in filter(None, (args.save_results, args.save_embeddings, args.json)):
        check_writable(path)
    check_replaceable(args.save_results, args.json, (args.checkpoint, args.dataset, args.split))
    with joined(args.device):
        scored = score_checkpoint(args.checkpoint, args, args.features, args.features_folder)
        if rank() == 0:
            report(args, scored)


def report(args: argparse.Namespace, scored: Scored) -> None:
    """Print and save what the arguments ask for."""
    if args.grid_size is not None and scored.origin.features != "grid":
        raise InputError(
            f"--grid_size is for grid features; this checkpoint gets {scored.origin.features}"
        )
    origin, split, dataset = scored.origin, scored.split, args.dataset
    results = evaluate(scored.scores, dataset, args.split)
    print(f"{args.checkpoint}: {origin.title} on {dataset}, {len(split.image_ids):,} images")
    if crossing := transfer([origin], dataset):
        print(crossing)
    print(f"features: {split.features.describe()}")
    print(format_table(origin, dataset, args.split, results))
    ids = split.image_ids
    if args.save_results:
        save_results(args.save_results, scored.scores, ids, dataset, args.split, origin)
    if args.save_embeddings:
        embeddings = scored.embeddings
        images, texts = embeddings.images.numpy(), embeddings.captions.numpy()
        save_embeddings(args.save_embeddings, images, texts, ids)
    if args.json:
        write_record(args.json, single_record(origin, dataset, args.split, results))


if __name__ == "__main__":
    with reported():
        run(parse())
