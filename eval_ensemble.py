"""Averages saved scores and scores the mean; region + grid is the paper's hybrid.

python eval_ensemble.py runs/f30k_region/results.safetensors runs/f30k_grid/results.safetensors
python eval_ensemble.py runs/a/results.safetensors runs/b/results.safetensors --weights 0.7 0.3
python eval_ensemble.py runs/a/embeddings runs/b/embeddings     # any size: no matrix is held"""

import sys
from functools import partial

from lib.arguments import dataset_arg, new_parser
from lib.errors import exit_on_error
from lib.evaluation.ensemble import agree, mean_scores, normalised_weights
from lib.evaluation.extra_arguments import add_extras, add_record, extras_of
from lib.evaluation.extras import Extras
from lib.evaluation.products import MeanScores
from lib.evaluation.protocols import check_split
from lib.evaluation.records import Member, Record, require_members, write_record
from lib.evaluation.report import format_ensemble
from lib.evaluation.saved_embeddings import SavedEmbeddings, open_member
from lib.outputs import check_outputs, require_different


def main(words: list[str] | None = None) -> None:
    """Average the files of the command line, or of ``words``, print and save."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "results",
        nargs="+",
        help="two or more: of eval.py --save_results or --save_embeddings, or the release's .npy",
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        help="one number for each file, scaled to sum 1; default: equal",
    )
    parser.add_argument("--dataset", type=dataset_arg, help="for files without this metadata")
    parser.add_argument("--split", help="for files without this metadata")
    add_extras(parser, models=False)
    add_record(parser)
    args = parser.parse_args(words)
    if len(args.results) < 2:
        parser.error("an ensemble has two or more members")
    extras = extras_of(parser, args)
    with exit_on_error():
        require_different(args.results, "--weights changes a member's share")
        weights = normalised_weights(args.weights, len(args.results))
        rule = partial(require_members, args.results, weights)
        check_outputs([(args.json, partial(rule, None))], args.results)
        record = score_ensemble(args.results, weights, args.dataset, args.split, extras)
        if args.json is not None:
            about = (record.dataset, record.split)
            check_outputs([(args.json, partial(rule, about))], args.results)
            write_record(args.json, record)


def score_ensemble(
    paths: list[str], weights: list[float], dataset: str | None, split: str | None, extras: Extras
) -> Record:
    """Check that the files belong together, score each, then their mean; print the table."""
    files = [open_member(path) for path in paths]
    dataset, split = agree(files, dataset, split)
    check_split(dataset, split, len(files[0]))
    for file in files:
        if file.image_ids is None:
            print(
                f"note: {file.path} has no ids; its images must be in the same order",
                file=sys.stderr,
            )
    listed = next((file.image_ids for file in files if file.image_ids is not None), None)
    others = extras.open_benchmarks(dataset, split, listed)
    for note in (*others.notes, *others.left_out(None)) if others is not None else ():
        print(f"note: {note}", file=sys.stderr)
    about = (dataset, split, others)
    members = [
        Member(str(file.path), file.origin, weight, extras.evaluate(file, *about))
        for file, weight in zip(files, weights, strict=True)
    ]
    in_blocks = any(isinstance(file, SavedEmbeddings) for file in files)
    mean = MeanScores(files, weights) if in_blocks else mean_scores(files, weights)
    results = extras.evaluate(mean, *about)
    print(f"ensemble of {len(files)} on {dataset}, {len(files[0]):,} images")
    print(format_ensemble(members, dataset, split, results))
    return Record(dataset, split, members, results)


if __name__ == "__main__":
    main()
