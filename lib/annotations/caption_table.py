"""A table of pictures and sentences, one's own or a data set's, to a dataset's splits."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.data.pictures import SUFFIXES
from lib.errors import InputError, few, first_line
from lib.files import require_regular

SPLITS = ("train", "dev", "test")
Splits = dict[str, tuple[list[str], list[str]]]


def read_table(path: Path) -> dict[str, list[str]]:
    """Sentences of each picture, by its file's name, in the table's order.

    Args:
        path: one sentence a line, in one of three forms. Lines of a picture's file name, a tab and
            a sentence; or CSV whose first line is ``image,caption``, as Flickr8K is spread on
            Kaggle; or ``image_name| comment_number| comment``, as Flickr30K is. A name may end in
            ``#0`` to ``#4``, as in Flickr30K's own file. Empty lines are skipped.

    Raises InputError: no such file, or a line without a picture or a sentence.
    """
    require_regular(path, "a table")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({first_line(error)})") from error
    found: dict[str, list[str]] = {}
    for number, name, sentence in _rows(path, text):
        name, sentence = re.sub(r"#\d+$", "", name.strip()), " ".join(sentence.split())
        if not (name and sentence):
            missing = "picture" if sentence else "sentence"
            raise InputError(f"{path}: line {number} has no {missing}")
        found.setdefault(name, []).append(sentence)
    if not found:
        raise InputError(f"{path}: holds no line of a picture's file name and a sentence")
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, picture and sentence of each line that is not empty."""
    header = text.partition("\n")[0].strip().lower().replace('"', "")
    if re.fullmatch(r"image(_name)?,\s*(caption|comment)", header):
        yield from _of_csv(path, text)
        return
    bars = re.fullmatch(r"image(_name)?\s*\|.*\|\s*(comment|caption)", header)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or (bars and number == 1):
            continue
        cells = line.split("|", 2) if bars else line.split("\t", 1)
        if len(cells) != (3 if bars else 2):
            expected = (
                "a picture, a number and a sentence between |"
                if bars
                else "a picture's file name, a tab and a sentence; or image,caption as the first "
                "line of a CSV"
            )
            raise InputError(f"{path}: line {number} is {line[:60]!r}, expected {expected}")
        yield number, cells[0], cells[-1]


def _of_csv(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in lines:
            if lines.line_num > 1 and any(cell.strip() for cell in row):
                if len(row) != 2:
                    raise InputError(
                        f"{path}: line {lines.line_num} has {len(row)} cells, expected image and "
                        'caption; a caption with commas stands in double quotes, as in "a dog, wet"'
                    )
                yield lines.line_num, row[0], row[1]
    except csv.Error as error:
        raise InputError(
            f"{path}: line {lines.line_num} is no CSV ({first_line(error)}); a quote inside a "
            "quoted caption is written twice"
        ) from error


def require_pictures(names: list[str], path: Path, images: Path) -> None:
    """Refuse ``names`` of a table, read from ``path``, that the folder ``images`` lacks. Raises
    InputError."""
    if not images.is_dir():
        raise InputError(f"{images}: no such folder of pictures")
    missing = [name for name in names if not _is_file(images / name)]
    if missing:
        raise InputError(
            f"{path}: names {len(missing):,} pictures that are not in {images}: {few(missing)}"
        )


def id_of(name: str) -> str:
    """A picture's file name -> its id, which has no suffix, blank or slash."""
    return re.sub(r"[\s/\\]+", "_", str(Path(name).with_suffix("")))


def names_of(table: dict[str, list[str]]) -> dict[str, str]:
    """Id -> file name of each picture. Raises InputError: two of one id, or an id that cannot be
    one."""
    mapping = {id_of(name): name for name in table}
    if len(mapping) < len(table):
        twice = [name for name in table if mapping[id_of(name)] != name]
        raise InputError(
            f"{twice[0]} and {mapping[id_of(twice[0])]} have the same id, {id_of(twice[0])}; "
            "rename one of them"
        )
    require_usable_ids("the table", list(mapping))
    return mapping


def dealt(ids: list[str], dev: float, test: float, seed: int) -> dict[str, list[str]]:
    """Deal ids out to train, dev and test: shares ``dev`` and ``test``, one at least, by ``seed``.
    Raises InputError: nothing is left for training."""
    sizes = {"dev": max(1, round(dev * len(ids))), "test": max(1, round(test * len(ids)))}
    sizes["train"] = len(ids) - sizes["dev"] - sizes["test"]
    if sizes["train"] < 1:
        raise InputError(
            f"{len(ids)} pictures cannot be dealt out to train, dev ({sizes['dev']}) and test "
            f"({sizes['test']})"
        )
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    return {
        split: [ids[number] for number in sorted(order.pop() for _ in range(sizes[split]))]
        for split in SPLITS
    }


def listed(folder: Path) -> dict[str, list[str]]:
    """Ids of each split by a data set's own lists in a folder: ``{train,dev,test}_ids.txt``, or
    Flickr8K's ``Flickr_8k.{train,dev,test}Images.txt``; a line may end in the picture's suffix.
    Raises InputError: a list is missing, or an id is twice in them."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of lists")
    found = {}
    for split in SPLITS:
        names = f"{split}_ids.txt", f"Flickr_8k.{split}Images.txt"
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise InputError(
                f"{folder}: has neither {names[0]} nor {names[1]}, a list of the split's pictures"
            )
        try:
            written = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as UTF-8 ({first_line(error)})") from error
        lines = [name.strip() for name in written if name.strip()]
        if not lines:
            raise InputError(f"{path}: holds no picture")
        found[split] = [id_of(i) if Path(i).suffix.lower() in SUFFIXES else i for i in lines]
    require_usable_ids(folder, [image_id for ids in found.values() for image_id in ids])
    return found


def to_splits(
    table: dict[str, list[str]], split_ids: dict[str, list[str]]
) -> tuple[Splits, list[str]]:
    """Five sentences of each picture of each split.

    Args:
        table: of :func:`read_table`.
        split_ids: of :func:`dealt` or :func:`listed`.

    Returns:
        Split -> ids and five sentences of each picture; and notes for the reader, on pictures that
        no split has, and on those with fewer or more than five sentences.

    Raises InputError: a split names a picture without a sentence."""
    mapping = names_of(table)
    chosen = {image_id for ids in split_ids.values() for image_id in ids}
    if unknown := sorted(chosen - mapping.keys()):
        raise InputError(
            f"the lists name {len(unknown):,} pictures that have no sentence: {few(unknown)}"
        )
    splits: Splits = {
        split: (ids, [line for i in ids for line in _five(table[mapping[i]])])
        for split, ids in split_ids.items()
    }
    notes = []
    if others := mapping.keys() - chosen:
        notes.append(f"{len(others):,} pictures with sentences are in no list and are left out")
    counts = np.array([len(table[mapping[image_id]]) for image_id in chosen])
    if fewer := int((counts < CAPTIONS_PER_IMAGE).sum()):
        notes.append(
            f"{fewer:,} pictures have fewer than five sentences; theirs are repeated, and image to "
            "text R@5 and R@10 come out lower for it than with distinct ones"
        )
    if more := int((counts > CAPTIONS_PER_IMAGE).sum()):
        notes.append(f"{more:,} pictures have more than five sentences; the first five are used")
    return splits, notes


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
