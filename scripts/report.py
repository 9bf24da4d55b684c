"""A report on runs in one HTML file: settings, curves, tables, recall by length, best and worst.

python scripts/report.py runs/f8k/region-0 runs/f8k/vse_region-0 --out report.html --images IMAGES

The runs are scored on one split, by default their own test split. The file needs no other file and
no network: pictures are in it, with what the model looked at over them. Encodings are kept in
explorer/ beside each checkpoint, where scripts/explore.py finds them too.
"""

import shlex
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from lib.arguments import new_parser, path_arg
from lib.display.arguments import add_arguments, galleries_of, pictures_of
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write
from lib.outputs import check_outputs


def names_of(runs: list[Path]) -> list[str]:
    """Short names, by which the runs can be told apart."""
    names = [run.stem if run.suffix else run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [str(run) for run in runs]


def require_report(mark: str, path: Path) -> None:
    """The rule for the output: an earlier report."""
    with path.open("rb") as file:
        if f'<meta name="generator" content="{mark}">'.encode() not in file.read(500):
            raise InputError(f"{path}: is there and is no report; choose another --out")


def main(words: list[str] | None = None) -> None:
    """Write the report that the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument("run", type=path_arg, nargs="+", help="run folders, or checkpoints")
    parser.add_argument("--out", type=path_arg, required=True, help="the HTML file to write")
    parser.add_argument(
        "--examples",
        type=int,
        default=6,
        help="how many of the best and of the worst queries to show",
    )
    add_arguments(parser)
    args = parser.parse_args(words)
    if args.examples < 0 or args.workers < 0:
        parser.error("--examples and --workers must be at least 0")
    with exit_on_error():
        try:
            from lib.display.comparison import judged
            from lib.display.report import MARK, build_report
        except ImportError as error:
            raise InputError(
                f"the report needs {error.name}, an extra: pip install jinja2 matplotlib, with the "
                "versions in requirements.txt"
            ) from error
        check_outputs([(args.out, partial(require_report, MARK))], args.run)
        pictures = pictures_of(args, args.run)
        galleries = galleries_of(args, args.run)
        runs = [judged(*pair) for pair in zip(galleries, names_of(args.run), strict=True)]
        command = shlex.join(["python", "scripts/report.py", *(words or sys.argv[1:])])
        html = build_report(runs, pictures, args.examples, command)
        with atomic_write(args.out) as temporary:
            temporary.write_text(html, encoding="utf-8")
        size = args.out.stat().st_size / 1e6
        print(f"{args.out}: {len(runs)} run{'s' * (len(runs) > 1)}, {size:.1f} MB")


if __name__ == "__main__":
    main()
