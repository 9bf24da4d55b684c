"""Runs an extractor over the pictures of a split: decoded by workers, batched, and resumable."""

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from lib.data.pictures import PictureError
from lib.errors import first_line
from lib.extraction.outputs import Arrays, Output
from lib.files import replacing

FAILED = "failed.txt"


class _Pictures(Dataset):
    """What workers make of pictures, or why they could not."""

    def __init__(self, image_ids: Sequence[str], load: Callable[[str], Tensor | Arrays]):
        self.image_ids, self.load = image_ids, load

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, number: int) -> tuple[int, Tensor | Arrays | str]:
        try:
            return number, self.load(self.image_ids[number])
        except PictureError as error:
            return number, str(error)


def run(
    title: str,
    image_ids: Sequence[str],
    load: Callable[[str], Tensor | Arrays],
    extract: Callable[[Tensor], list[Arrays]] | None,
    output: Output,
    batch_size: int,
    workers: int,
) -> list[tuple[str, str]]:
    """Extract what is not done yet.

    Batches are fixed groups of neighbours in the split, whatever is done already: the numbers of a
    picture may depend on its batch in the last bit, and a resumed extraction shall give the same.

    Args:
        title: for the progress bar.
        image_ids: the split's.
        load: an image id -> a prepared tensor, or its arrays where ``extract`` is None; done by
            workers. Raises :class:`PictureError` for a picture that cannot be used.
        extract: (B, ...) prepared tensors of one shape -> each one's arrays.
        output: where these go.
        batch_size: pictures at once, where their shapes allow.
        workers: processes that load.

    Returns:
        (image id, reason) of the pictures that cannot be used; everything else is done.
    """
    pending = set(output.pending())
    groups = [
        list(range(start, min(start + batch_size, len(image_ids))))
        for start in range(0, len(image_ids), batch_size)
    ]
    groups = [group for group in groups if not pending.isdisjoint(group)]
    # Only forked workers can be given functions made here.
    forks = "fork" in multiprocessing.get_all_start_methods()
    workers = workers if forks else 0
    loader = DataLoader(
        _Pictures(image_ids, load),
        batch_sampler=groups,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        collate_fn=list,
        generator=torch.Generator(),
    )
    failed = []
    done = len(image_ids) - len(pending)
    with tqdm(total=len(image_ids), initial=done, desc=title, unit="img", disable=None) as bar:
        for group in loader:
            failed += [(image_ids[n], why) for n, why in group if isinstance(why, str)]
            loaded = [(n, value) for n, value in group if not isinstance(value, str)]
            for number, arrays in _extracted(loaded, extract):
                if isinstance(arrays, str):
                    failed.append((image_ids[number], arrays))
                elif number in pending:
                    output.write(number, arrays)
            bar.update(sum(number in pending for number, _ in group))
    output.finish()
    return failed


def _extracted(
    loaded: list[tuple[int, Tensor | Arrays]], extract: Callable[[Tensor], list[Arrays]] | None
) -> list[tuple[int, Arrays | str]]:
    """What became of each picture: its arrays, or why the model could not."""
    if extract is None:
        return loaded
    by_shape: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
    for number, tensor in loaded:
        by_shape.setdefault(tuple(tensor.shape), []).append((number, tensor))
    pairs = []
    for members in by_shape.values():
        try:
            pairs += _together(members, extract)
        except (RuntimeError, ValueError):  # too large for the memory, or odd: which of them is it?
            for member in members:
                try:
                    pairs += _together([member], extract)
                except (RuntimeError, ValueError) as error:
                    size = " x ".join(map(str, member[1].shape))
                    reason = f"{type(error).__name__}: {first_line(error)}"
                    pairs.append((member[0], f"the model failed on its {size} values ({reason})"))
    return pairs


def _together(
    members: list[tuple[int, Tensor]], extract: Callable[[Tensor], list[Arrays]]
) -> list[tuple[int, Arrays]]:
    numbers, tensors = zip(*members, strict=True)
    return list(zip(numbers, extract(torch.stack(tensors)), strict=True))


def report_failures(
    data: Path, extractor: str, failures: dict[str, list[tuple[str, str]]]
) -> str | None:
    """Rewrite an extractor's lines on these splits in ``<data>/failed.txt``; others stay.

    Args:
        data: the dataset's folder.
        extractor: the first word of its lines.
        failures: split -> (image id, reason) of each picture that could not be used.

    Returns:
        A sentence on them, or None where there are none.
    """
    path = data / FAILED
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    ours = {(extractor, split) for split in failures}
    lines = [line for line in text.splitlines() if tuple(line.split("\t")[:2]) not in ours]
    own = [
        "\t".join((extractor, split, image_id, " ".join(reason.split())))
        for split, failed in failures.items()
        for image_id, reason in failed
    ]
    if not lines and not own:
        path.unlink(missing_ok=True)
        return None
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in (*lines, *own)), encoding="utf-8")
    if not own:
        return None
    return (
        f"{len(own)} pictures could not be used; {path} says why. Everything else is done; start "
        "again when they are mended"
    )


def as_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values in the dtype that files shall have; float16 is clipped to its range."""
    if dtype == "float16":
        limit = np.finfo(np.float16).max
        array = array.clip(-limit, limit)
    return array.astype(dtype)
