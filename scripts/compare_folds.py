"""Sets the recalls of five folds of COCO 1K beside those of the authors' re-run of 3SHNet.

python scripts/compare_folds.py results.json

Takes a record that eval.py --json wrote; prints thirty figures, pass or fail each, and ends with
status 1 unless all pass. scripts/verify_release.sh scores a released checkpoint and calls it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.errors import InputError, exit_on_error
from lib.evaluation.protocols import FOLDS
from lib.evaluation.published import released_folds
from lib.evaluation.records import read_record

TOLERANCE = 0.15  # percent points: the published figures are rounded, and processors differ
FIGURES = ("i2t R@1", "i2t R@5", "i2t R@10", "t2i R@1", "t2i R@5", "t2i R@10")


def found_folds(path: Path) -> list[list[float]]:
    """The six recalls of each fold of a record. Raises InputError: no five folds of 1,000."""
    record = read_record(path)
    if record is None:
        raise InputError(f"{path}: holds no results; eval.py --json writes them")
    whole = next((result for result in record.results if result.folds), None)
    if record.dataset != "coco" or whole is None or whole.images != 1000:
        what = f"{record.dataset} {record.split}" if whole is None else f"folds of {whole.images:,}"
        raise InputError(f"{path}: holds {what}, expected COCO's five folds of 1,000 images")
    return [
        [r for side in (fold.i2t, fold.t2i) for r in (side.r1, side.r5, side.r10)]
        for fold in whole.folds
    ]


def main(words: list[str] | None = None) -> None:
    """Print the table of the record that the command line, or ``words``, names."""
    parser = new_parser(__doc__)
    parser.add_argument("record", type=path_arg, help="results.json that eval.py --json wrote")
    args = parser.parse_args(words)
    with exit_on_error():
        found = found_folds(args.record)
    failed = 0
    print(f"{'fold':<6}{'figure':<10}{'published':>9}{'found':>8}")
    for number, ((i2t, t2i), values) in enumerate(zip(released_folds(), found, strict=True), 1):
        for name, expected, value in zip(FIGURES, (*i2t, *t2i), values, strict=True):
            passed = expected is not None and abs(value - expected) <= TOLERANCE
            failed += not passed
            told = "pass" if passed else "fail"
            print(f"{number:<6}{name:<10}{expected:>9.1f}{value:>8.2f}  {told}")
    count = FOLDS * len(FIGURES)
    print(f"{count - failed} of {count} figures are within {TOLERANCE} points")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
