"""Runs an extractor over the pictures of splits: decoded by workers, batched, and resumable."""

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from lib.data.captions import read_ids, require_usable_ids
from lib.data.pictures import PictureError
from lib.data.split import splits_of
from lib.errors import InputError, first_line
from lib.extraction.outputs import Arrays, FileOutput
from lib.files import atomic_write
from lib.outputs import exclusive

FAILED = "failed.txt"
# An image id -> a prepared tensor or a tuple of them; or its arrays, if nothing extracts.
Load = Callable[[str], Any]
Extract = Callable[..., Sequence[Arrays]]  # (B, ...) of each prepared tensor -> each one's arrays


@dataclass(frozen=True)
class Job:
    """What the extraction commands share."""

    data: Path  # the dataset's folder, which holds {split}_ids.txt
    extractor: str  # one word, for failed.txt
    batch_size: int = 16  # pictures at once
    workers: int = 0  # processes that read pictures
    place: str = ""  # the output's folder inside ``data``, if it has one


def ids_of_splits(data: Path, wanted: str | None) -> dict[str, list[str]]:
    """Image ids of the splits ``wanted``, as in "train,dev", or of all that have ids. Raises
    InputError: there are no such ``<split>_ids.txt``, or an id is unusable."""
    found = splits_of(data, "ids")
    splits = {}
    for split in wanted.split(",") if wanted else found:
        path = data / f"{split}_ids.txt"
        splits[split] = ids = read_ids(path)[0]
        if not ids:
            raise InputError(f"{path}: holds no id")
        require_usable_ids(path, ids)
    return splits


def extract_splits(
    job: Job,
    ids: dict[str, list[str]],
    output_of: Callable[[str, list[str]], FileOutput],
    load: Load,
    extract: Extract | None,
) -> None:
    """Extract every split, whose image ids ``ids`` has, print what there is now, and list what
    could not be used. Workers ``load``, which raises :class:`PictureError` where that fails;
    ``extract`` gets batches of one shape, and is None where ``load`` gives the arrays. Raises
    InputError: pictures that could not be used, once everything else is done; or another process
    is extracting the same."""
    with ExitStack() as held:
        for split in ids:
            name = "-".join(filter(None, (job.extractor, job.place.replace("/", "-"), split)))
            held.enter_context(exclusive(job.data, name))
        outputs = {split: output_of(split, image_ids) for split, image_ids in ids.items()}
        failures = {}
        for split, output in outputs.items():
            failures[split] = run(job, split, ids[split], load, extract, output)
            print(output.describe())
        with exclusive(job.data, FAILED, wait=True):
            problem = report_failures(job, failures)
    if problem:
        raise InputError(problem)


class _Pictures(Dataset):
    """Loaded pictures, or why they could not be loaded."""

    def __init__(self, image_ids: Sequence[str], load: Load):
        self.image_ids, self.load = image_ids, load

    def __getitem__(self, number: int) -> tuple[int, Any]:
        try:
            return number, self.load(self.image_ids[number])
        except PictureError as error:
            return number, str(error)


def run(
    job: Job,
    split: str,
    image_ids: Sequence[str],
    load: Load,
    extract: Extract | None,
    output: FileOutput,
) -> list[tuple[str, str]]:
    """Extract what is not done yet of one split; arguments as of :func:`extract_splits`.

    Batches are fixed groups of neighbours in the split, whatever is done already: a picture's
    numbers may depend on its batch in the last bit, and a resumed extraction must give the same.

    Returns (image id, reason) of the pictures that cannot be used; everything else is done."""
    pending, size = set(output.pending()), job.batch_size
    numbers = range(len(image_ids))
    groups = [numbers[start : start + size] for start in range(0, len(image_ids), size)]
    # Only forked workers can be given functions made here.
    forks = "fork" in multiprocessing.get_all_start_methods() and job.workers > 0
    loader: DataLoader = DataLoader(
        _Pictures(image_ids, load),
        batch_sampler=[list(group) for group in groups if not pending.isdisjoint(group)],
        num_workers=job.workers if forks else 0,
        multiprocessing_context="fork" if forks else None,
        collate_fn=list,
        generator=torch.Generator(),
    )
    failed = []
    done = len(image_ids) - len(pending)
    with tqdm(total=len(image_ids), initial=done, desc=split, unit="img", disable=None) as bar:
        for group in loader:
            failed += [(image_ids[n], why) for n, why in group if isinstance(why, str)]
            loaded = [(n, value) for n, value in group if not isinstance(value, str)]
            for number, arrays in loaded if extract is None else _extracted(loaded, extract):
                if isinstance(arrays, str):
                    failed.append((image_ids[number], arrays))
                elif number in pending:
                    output.write(number, arrays)
            bar.update(sum(number in pending for number, _ in group))
    output.finish()
    return failed


def _extracted(loaded: list[tuple[int, Any]], extract: Extract) -> list[tuple[int, Arrays | str]]:
    """Each picture's arrays, or why the model failed on it."""

    def together(members: list[tuple[int, tuple[Tensor, ...]]]) -> list[tuple[int, Arrays | str]]:
        columns = zip(*(tensors for _, tensors in members), strict=True)
        arrays = extract(*map(torch.stack, columns))
        return [(number, one) for (number, _), one in zip(members, arrays, strict=True)]

    by_shape: dict[Any, list[tuple[int, tuple[Tensor, ...]]]] = {}
    for number, value in loaded:
        tensors = value if isinstance(value, tuple) else (value,)
        by_shape.setdefault(tuple(t.shape for t in tensors), []).append((number, tensors))
    pairs: list[tuple[int, Arrays | str]] = []
    for members in by_shape.values():
        try:
            pairs += together(members)
        except (RuntimeError, ValueError):  # too large for the memory, or odd: find the picture
            for member in members:
                try:
                    pairs += together([member])
                except (RuntimeError, ValueError) as error:
                    size = " x ".join(map(str, member[1][0].shape))
                    reason = f"{type(error).__name__}: {first_line(error)}"
                    pairs.append((member[0], f"the model failed on its {size} values ({reason})"))
    return pairs


def report_failures(job: Job, failures: dict[str, list[tuple[str, str]]]) -> str | None:
    """Rewrite an extractor's lines on these splits in ``failed.txt``, where others stay, and say so
    in a sentence; ``failures`` is split -> (image id, reason) of each picture."""
    path = job.data / FAILED
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    ours = {(job.extractor, split) for split in failures}
    lines = [line for line in text.splitlines() if tuple(line.split("\t")[:2]) not in ours]
    own = [
        "\t".join((job.extractor, split, image_id, " ".join(reason.split())))
        for split, failed in failures.items()
        for image_id, reason in failed
    ]
    if not lines and not own:
        path.unlink(missing_ok=True)
        return None
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in (*lines, *own)), encoding="utf-8")
    problem = f"{len(own)} pictures could not be used; {path} says why. Everything else is done"
    return f"{problem}; run the command again when they are fixed" if own else None


def as_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values in the files' dtype; float16 is clipped to its range."""
    limit = np.finfo(np.float16).max
    return (array.clip(-limit, limit) if dtype == "float16" else array).astype(dtype)
