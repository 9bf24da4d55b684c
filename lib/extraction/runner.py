"""Runs an extractor over the pictures of splits: decoded by workers, batched, resumable, and shared
by as many processes as torchrun or Slurm has started."""

import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
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
from lib.extraction.file_output import Arrays, FileOutput
from lib.files import atomic_write
from lib.outputs import exclusive, shared
from lib.share import ALONE, Share, shards_of

FAILED = "failed.txt"
SHARD = 256  # most images of a shard
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
    share: Share = ALONE  # which part of the work is this process's


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
) -> bool:
    """Extract this process's share of every split, whose image ids ``ids`` has, print what there is
    now, and list what could not be used. Workers ``load``, which raises :class:`PictureError` where
    that fails; ``extract`` gets batches of one shape, and is None where ``load`` gives the arrays.
    Whether all splits are whole now, by whichever process. Raises InputError: pictures that could
    not be used, once everything else is done, unless there are other processes, beside which that
    is a note; or others are extracting the same."""
    with ExitStack() as held:
        for split in ids:
            name = "-".join(filter(None, (job.extractor, job.place.replace("/", "-"), split)))
            held.enter_context(shared(job.data, name, job.share))
        outputs = {split: output_of(split, image_ids) for split, image_ids in ids.items()}
        failures = {}
        for split, output in outputs.items():
            failures[split] = run(job, split, ids[split], load, extract, output)
            print(job.share.told(output.describe()), flush=True)
        with exclusive(job.data, FAILED, wait=True):
            problem = report_failures(job, failures, ids)
    if problem and job.share.alone:
        raise InputError(problem)
    if problem:  # an error would have torchrun end the others
        print(f"note: {job.share.told(problem)}", file=sys.stderr, flush=True)
    return all(output.whole for output in outputs.values())


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
    """Extract what is not done yet of this process's share of one split; arguments as of
    :func:`extract_splits`.

    Batches are fixed groups of neighbours in the split, whatever is done already: a picture's
    numbers may depend on its batch in the last bit, and a resumed extraction must give the same.

    Returns (image id, reason) of the pictures that cannot be used; everything else is done."""
    shards, size = job.share.of(shards_of(len(image_ids), job.batch_size, SHARD)), job.batch_size
    own = {number for shard in shards for number in shard}
    pending = own.intersection(output.pending())
    ends = {}  # the last batch of each shard that still has one -> that shard
    groups: list[range] = []
    for shard in shards:
        batches = [shard[start : start + size] for start in range(0, len(shard), size)]
        if undone := [batch for batch in batches if not pending.isdisjoint(batch)]:
            ends[len(groups) + len(undone) - 1] = shard
            groups += undone
        else:
            output.finish_shard(shard)  # its last image was written, and then a kill came
    # Only forked workers can be given functions made here.
    forks = "fork" in multiprocessing.get_all_start_methods() and job.workers > 0
    loader: DataLoader = DataLoader(
        _Pictures(image_ids, load),
        batch_sampler=[list(group) for group in groups],
        num_workers=job.workers if forks else 0,
        multiprocessing_context="fork" if forks else None,
        collate_fn=list,
        generator=torch.Generator(),
    )
    failed = []
    done = len(own) - len(pending)
    # One bar per machine; None hides it where there is no terminal.
    hide = True if job.share.local_rank else None
    with tqdm(total=len(own), initial=done, desc=split, unit="img", disable=hide) as bar:
        for place, group in enumerate(loader):
            failed += [(image_ids[n], why) for n, why in group if isinstance(why, str)]
            loaded = [(n, value) for n, value in group if not isinstance(value, str)]
            for number, arrays in loaded if extract is None else _extracted(loaded, extract):
                if isinstance(arrays, str):
                    failed.append((image_ids[number], arrays))
                elif number in pending:
                    output.write(number, arrays)
            bar.update(sum(number in pending for number, _ in group))
            if place in ends:
                output.finish_shard(ends[place])
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


def report_failures(
    job: Job, failures: dict[str, list[tuple[str, str]]], ids: Mapping[str, Sequence[str]]
) -> str | None:
    """Rewrite an extractor's lines on this process's share of these splits in ``failed.txt``, where
    others stay, and say so in a sentence; ``failures`` is split -> (image id, reason) of each
    picture, ``ids`` is split -> its image ids."""
    path = job.data / FAILED
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    others: dict[str, set[str]] = {}  # split -> images of other processes
    for split, image_ids in () if job.share.alone else ids.items():
        own = job.share.of(shards_of(len(image_ids), job.batch_size, SHARD))
        others[split] = set(image_ids) - {image_ids[number] for shard in own for number in shard}

    def stays(line: str) -> bool:
        extractor, split, image_id = (*line.split("\t"), "", "", "")[:3]
        ours = extractor == job.extractor and split in failures
        return not ours or image_id in others.get(split, ())

    lines = [line for line in text.splitlines() if stays(line)]
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
