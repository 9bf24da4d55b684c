"""A table of one's own pictures and sentences to a dataset's splits."""

import re
from pathlib import Path

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.data.pictures import SUFFIXES
from lib.errors import InputError, first_line
from lib.files import require_regular

Splits = dict[str, tuple[list[str], list[str]]]


def read_table(path: Path, images: Path) -> dict[str, list[str]]:
    """Sentences of each picture, by its file's name relative to ``images``, in the table's order.

    Args:
        path: lines of a picture's file name, a tab and a sentence; a name may end in ``#0`` to
            ``#4``, as in Flickr30K's file. Empty lines are skipped.
        images: folder of the pictures.

    Raises InputError: no such file or folder, a line without a tab, picture or sentence, or
    pictures that are not there.
    """
    if not images.is_dir():
        raise InputError(f"{images}: no such folder of pictures")
    require_regular(path, "a table")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({first_line(error)})") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        name, tab, sentence = line.partition("\t")
        name, sentence = re.sub(r"#\d+$", "", name.strip()), " ".join(sentence.split())
        if not line.strip():
            continue
        if not (tab and name and sentence):
            raise InputError(
                f"{path}: line {number} is {line[:60]!r}, expected a picture's file name, a tab "
                "and a sentence"
            )
        found.setdefault(name, []).append(sentence)
    missing = [name for name in found if not _is_file(images / name)]
    if missing:
        raise InputError(
            f"{path}: names {len(missing)} pictures that are not in {images}: "
            f"{', '.join(missing[:5])}"
        )
    if not found:
        raise InputError(f"{path}: holds no line of a picture's file name, a tab and a sentence")
    return found


def id_of(name: str) -> str:
    """A picture's file name -> its id, which has no suffix, blank or slash."""
    return re.sub(r"[\s/\\]+", "_", str(Path(name).with_suffix("")))


def to_splits(
    table: dict[str, list[str]], dev: float, test: float, seed: int
) -> tuple[Splits, dict[str, str], list[str]]:
    """Deal the pictures out to train, dev and test.

    Args:
        table: of :func:`read_table`.
        dev: share of the pictures, one at least.
        test: likewise.
        seed: of the dealing.

    Returns:
        Split -> ids and five sentences of each picture; id -> file name; and notes for the reader
        on pictures with fewer or more than five.

    Raises InputError: fewer than three pictures, two of one id, or nothing left for training.
    """
    mapping = {id_of(name): name for name in table}
    if len(mapping) < len(table):
        twice = [name for name in table if mapping[id_of(name)] != name]
        raise InputError(
            f"{twice[0]} and {mapping[id_of(twice[0])]} have the same id, {id_of(twice[0])}; "
            "rename one of them"
        )
    ids = list(mapping)
    require_usable_ids("the table", ids)
    sizes = {"dev": max(1, round(dev * len(ids))), "test": max(1, round(test * len(ids)))}
    sizes["train"] = len(ids) - sizes["dev"] - sizes["test"]
    if sizes["train"] < 1:
        raise InputError(
            f"{len(ids)} pictures cannot be dealt out to train, dev ({sizes['dev']}) and test "
            f"({sizes['test']})"
        )
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    splits: Splits = {}
    for split in ("train", "dev", "test"):
        chosen = sorted(order.pop() for _ in range(sizes[split]))
        names = [mapping[ids[number]] for number in chosen]
        captions = [sentence for name in names for sentence in _five(table[name])]
        splits[split] = [ids[number] for number in chosen], captions
    counts = np.array([len(sentences) for sentences in table.values()])
    notes = []
    if fewer := int((counts < CAPTIONS_PER_IMAGE).sum()):
        notes.append(
            f"{fewer:,} pictures have fewer than five sentences; theirs are repeated, and image to "
            "text R@5 and R@10 come out lower for it than with distinct ones"
        )
    if more := int((counts > CAPTIONS_PER_IMAGE).sum()):
        notes.append(f"{more:,} pictures have more than five sentences; the first five are used")
    return splits, mapping, notes


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def without_sentence(table: dict[str, list[str]], images: Path) -> int:
    """How many pictures of the folder the table does not name."""
    present = (path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sum(path.relative_to(images).as_posix() not in table for path in present)


def _five(sentences: list[str]) -> list[str]:
    return [sentences[i % len(sentences)] for i in range(CAPTIONS_PER_IMAGE)]
