"""Average saved scores and score them again; region + grid is the paper's hybrid:
python eval_ensemble.py runs/a/results.npz runs/b/results.npz [--weights 0.5 0.5]"""

import argparse
import sys
from pathlib import Path

from lib.errors import reported
from lib.evaluation.ensemble import Member, agree, mean_scores, normalised_weights
from lib.evaluation.protocols import DEFAULT_SPLITS, check_split, evaluate
from lib.evaluation.record import ensemble_record, write_record
from lib.evaluation.report import format_ensemble
from lib.evaluation.saved import SavedScores
from lib.files import check_writable


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, or ``words`` instead of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", nargs="+", help="two or more: .npz of --save_results, or the release's .npy"
    )
    parser.add_argument("--weights", type=float, nargs="+", help="default: equal; scaled to sum 1")
    parser.add_argument("--dataset", choices=DEFAULT_SPLITS, help="for files that do not say")
    parser.add_argument("--split", help="for files that do not say")
    parser.add_argument("--json", metavar="F", help="the table's figures as JSON")
    args = parser.parse_args(words)
    if len(args.results) < 2:
        parser.error("an ensemble has two or more members")
    repeated = {Path(p).resolve() for p in args.results}
    if len(repeated) < len(args.results):
        parser.error("a result file is named twice; --weights gives a member more say")
    return args


def run(args: argparse.Namespace) -> None:
    """Check that the files belong together, score each, then their mean."""
    weights = normalised_weights(args.weights, len(args.results))
    if args.json:
        check_writable(args.json)
    files = [SavedScores(path) for path in args.results]
    dataset, split = agree(files, args.dataset, args.split)
    check_split(dataset, split, files[0].shape[0])
    for file in files:
        if file.image_ids is None:
            note = f"note: {file.path} names no ids; its images are taken to be in the same order"
            print(note, file=sys.stderr)
    members = [
        Member(str(file.path), file.origin, weight, evaluate(file, dataset, split))
        for file, weight in zip(files, weights, strict=True)
    ]
    results = evaluate(mean_scores(files, weights), dataset, split)
    print(f"ensemble of {len(files)} on {dataset}, {files[0].shape[0]:,} images")
    print(format_ensemble(members, dataset, split, results))
    if args.json:
        write_record(args.json, ensemble_record(members, dataset, split, results))


if __name__ == "__main__":
    with reported():
        run(parse())
