"""Does a gain of two rSum mean anything? Compares two results on the same queries.

python scripts/compare.py runs/a/results.safetensors runs/b/results.safetensors
python scripts/compare.py runs/a/results.safetensors runs/b/results.safetensors --ci 99
python scripts/compare.py runs/a/embeddings runs/b/embeddings    # no matrix of scores is held

The first less the second: every figure's difference, its bootstrap interval, and the p of a paired
permutation test, which lets the two results of an image and its captions change places at random.
Both know which queries were asked, and nothing of seeds: train several for that."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import dataset_arg, new_parser
from lib.errors import exit_on_error
from lib.evaluation.comparison_table import format_comparison
from lib.evaluation.ensemble import agree
from lib.evaluation.intervals import RESAMPLES, paired
from lib.evaluation.protocols import protocol_ranks
from lib.evaluation.saved_embeddings import open_member
from lib.outputs import require_different


def main(words: list[str] | None = None) -> None:
    """Compare the two results of the command line, or of ``words``."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "results",
        nargs=2,
        help="of eval.py --save_results or --save_embeddings, or the release's .npy",
    )
    parser.add_argument(
        "--ci", type=float, default=95, metavar="LEVEL", help="level of the intervals, percent"
    )
    parser.add_argument(
        "--resamples", type=int, default=RESAMPLES, help="draws of the bootstrap and of the test"
    )
    parser.add_argument("--seed", type=int, default=0, help="of these draws")
    parser.add_argument("--dataset", type=dataset_arg, help="for files without this metadata")
    parser.add_argument("--split", help="for files without this metadata")
    args = parser.parse_args(words)
    if not 50 <= args.ci < 100:
        parser.error(f"--ci is {args.ci:g}, expected a percentage from 50 to below 100, as in 95")
    if args.resamples < 100 or args.seed < 0:
        parser.error("--resamples must be at least 100, --seed at least 0")
    with exit_on_error():
        require_different(args.results)
        files = [open_member(path) for path in args.results]
        dataset, split = agree(files, args.dataset, args.split, "compared")
        for file in (file for file in files if file.image_ids is None):
            note = f"note: {file.path} has no ids; its images must be in the same order"
            print(note, file=sys.stderr)
        about = (args.ci, args.resamples, args.seed)
        both = [protocol_ranks(file, dataset, split) for file in files]
        found = [
            (one, other, paired(one.hits(), other.hits(), *about))
            for one, other in zip(*both, strict=True)
        ]
        print(f"{len(files[0]):,} images of {dataset}; {args.resamples:,} draws, seed {args.seed}")
        print(format_comparison([file.origin for file in files], args.results, found))


if __name__ == "__main__":
    main()
