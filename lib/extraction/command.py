"""What the extraction commands share: arguments, splits, and the way through them."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from lib.data.arrays import CAPTIONS_PER_IMAGE
from lib.device import default_workers
from lib.errors import InputError, first_line
from lib.extraction.outputs import Arrays, Output
from lib.extraction.runner import report_failures, run

GROUP = 16  # pictures handed over at once where no model wants a batch


def parser_of(documentation: str, batch_size: int | None) -> argparse.ArgumentParser:
    """A parser with the arguments of all extraction commands.

    Args:
        documentation: the script's.
        batch_size: default of ``--batch_size``, for a model that reads pictures; None for a
            command that reads none, which has neither ``--images`` nor a device.
    """
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--workers", type=int, default=default_workers(), help="that read files")
    if batch_size is None:
        parser.set_defaults(batch_size=GROUP)
        return parser
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--mapping", type=Path, help="JSON: image id -> file inside --images")
    parser.add_argument("--batch_size", type=int, default=batch_size)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return parser


def parse(
    parser: argparse.ArgumentParser, words: Sequence[str] | None, sizes: Sequence[str]
) -> argparse.Namespace:
    """The command line, or ``words`` instead of it; leaves with the usage where one of the named
    ``sizes``, or ``batch_size``, is below 1."""
    args = parser.parse_args(words)
    for name in ("batch_size", *sizes):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}, expected 1 or more")
    if args.workers < 0:
        parser.error(f"--workers is {args.workers}, expected 0 or more")
    return args


def ids_of_splits(data: Path, wanted: str | None) -> dict[str, list[str]]:
    """Image ids of the splits ``wanted``, as in "train,dev", or of all that have ids.

    Raises:
        InputError: the folder has no ``<split>_ids.txt``, or not those; or ids that are none.
    """
    found = sorted(path.name.removesuffix("_ids.txt") for path in data.glob("*_ids.txt"))
    if not found:
        raise InputError(
            f"{data}: holds no <split>_ids.txt; scripts/prepare_captions.py makes them"
        )
    splits = {split: _ids(data, split) for split in (wanted.split(",") if wanted else found)}
    for split, ids in splits.items():
        odd = [i for i in ids if "/" in i or "\\" in i or i in (".", "..")]
        twice = [i for i, count in Counter(ids).items() if count > 1]
        if not ids or odd or twice:
            problem = "holds no id"
            if odd or twice:
                problem = (
                    f"{odd[0]!r} can be no name of a file" if odd else f"{twice[0]} stands twice"
                )
            raise InputError(f"{data / f'{split}_ids.txt'}: {problem}")
    return splits


def _ids(data: Path, split: str) -> list[str]:
    """One per image also where the file has one per caption."""
    path = data / f"{split}_ids.txt"
    try:
        ids = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error
    fives = [ids[i : i + CAPTIONS_PER_IMAGE] for i in range(0, len(ids), CAPTIONS_PER_IMAGE)]
    per_caption = all(len(five) == CAPTIONS_PER_IMAGE and len(set(five)) == 1 for five in fives)
    return ids[::CAPTIONS_PER_IMAGE] if per_caption else ids


def extract_splits(
    args: argparse.Namespace,
    extractor: str,
    ids: dict[str, list[str]],
    output_of: Callable[[str, list[str]], Output],
    load: Callable[[str], Tensor | Arrays],
    extract: Callable[[Tensor], list[Arrays]] | None,
) -> None:
    """Extract every split, say what there is now, and list what could not be used.

    Args:
        args: of :func:`parser_of`.
        extractor: one word, for ``failed.txt``.
        ids: split -> its image ids.
        output_of: a split and its ids -> where its features go.
        load: see :func:`lib.extraction.runner.run`.
        extract: see there.

    Raises:
        InputError: pictures that could not be used, once everything else is done.
    """
    outputs = {split: output_of(split, image_ids) for split, image_ids in ids.items()}
    failures = {}
    for split, output in outputs.items():
        failures[split] = run(
            split, ids[split], load, extract, output, args.batch_size, args.workers
        )
        print(output.describe())
    if problem := report_failures(args.data, extractor, failures):
        raise InputError(problem)
