"""Saved score matrices and embeddings: safetensors files, read in chunks.

A COCO 5K matrix takes 500 MB; averaging any number of them holds one and a chunk.
"""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError, first_line
from lib.evaluation.metrics import CHUNK_ROWS
from lib.evaluation.records import ORIGIN, Evaluated, Origin, require_same_evaluation
from lib.evaluation.released_scores import read_released_scores
from lib.files import atomic_write

ABOUT = "image-sentence scores"  # the key of the metadata


def save_results(
    path: str | Path,
    scores: np.ndarray,
    image_ids: list[str],
    dataset: str,
    split: str,
    origin: Origin,
) -> None:
    """Write ``scores`` (n, 5n) float32 and, as metadata, what they are of. Raises InputError: the
    file cannot be written."""
    about = {"dataset": dataset, "split": split, "checkpoint": origin.checkpoint}
    about["origin"] = ORIGIN.dump_json(origin).decode()
    _save(path, {"scores": scores}, image_ids, about)


def save_embeddings(
    path: str | Path, images: np.ndarray, captions: np.ndarray, image_ids: list[str]
) -> None:
    """Write ``images`` (n, D) and ``captions`` (5n, D), both float32. Raises InputError: the file
    cannot be written."""
    _save(path, {"images": images, "captions": captions}, image_ids, {})


def _save(
    path: str | Path, arrays: dict[str, np.ndarray], image_ids: list[str], about: dict[str, str]
) -> None:
    # One key: safetensors writes several in any order, and equal results shall be equal files.
    metadata = {ABOUT: json.dumps({**about, "image_ids": image_ids})}

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(arrays, temporary, metadata)
        except Exception as error:  # safetensors has an exception of its own for a full disk
            raise OSError(first_line(error)) from error


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a file of ours, ``image_ids`` as a list. Raises InputError: no such file,
    damaged, or not of ours."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})[ABOUT])
        return about | {"image_ids": [str(image_id) for image_id in about["image_ids"]]}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; eval.py writes it") from None
    except Exception as error:  # safetensors has an exception of its own
        raise InputError(
            f"{path}: is not a complete file of eval.py --save_results or --save_embeddings "
            f"({first_line(error)})"
        ) from error


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images (n, D) and captions (5n, D), float32, and image ids of ``eval.py --save_embeddings``.
    Raises InputError: no such file, or it holds something else."""
    ids = read_metadata(path)["image_ids"]
    arrays = load_file(path)
    images, captions = (arrays.get(name, np.zeros(0)) for name in ("images", "captions"))
    shapes = (len(ids), CAPTIONS_PER_IMAGE * len(ids))
    if (len(images), len(captions)) != shapes or images.ndim != 2 or captions.ndim != 2:
        raise InputError(f"{path}: holds no embeddings of eval.py --save_embeddings")
    return images, captions, ids


def check_results_replaceable(path: str | None, wanted: Evaluated) -> None:
    """Refuse to replace the scores of another evaluation; a damaged file may be replaced."""
    found: dict[str, Any] = {}
    with suppress(InputError):
        found = read_metadata(path) if path and Path(path).is_file() else {}
    if path and "checkpoint" in found:
        evaluated = (found["checkpoint"], found["dataset"], found["split"])
        require_same_evaluation(path, evaluated, wanted)


class SavedScores:
    """A result file's matrix: ``scores[rows]`` and ``scores[rows, columns]`` read from the disk."""

    dtype = np.dtype(np.float32)

    def __init__(self, path: str | Path):
        """Open a result file of ours, or one of the public release (``.npy``).

        Attributes: ``shape`` (n, 5n); ``dataset``, ``split`` and ``image_ids``, None where a
        released file does not say; ``origin``.

        Raises InputError: no such file, damaged, unsafe, or not an (n, 5n) matrix of floats.
        """
        self.path = Path(path)
        self.dataset: str | None = None
        self.split: str | None = None
        self.image_ids: list[str] | None = None
        self.origin = Origin(checkpoint=str(path))
        self._released: BinaryIO | None = None
        try:
            with self.path.open("rb") as file:
                start = file.read(6)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({first_line(error)}); eval.py --save_results writes it, "
                "as scripts/eval_*.sh do"
            ) from error
        if start == np.lib.format.MAGIC_PREFIX:
            self._open_released()
        else:
            self._open_ours()
        if self.image_ids is not None and len(self.image_ids) != self.shape[0]:
            raise InputError(f"{path}: holds {len(self.image_ids)} ids for {self.shape[0]} images")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        """Rows, or rows and columns, by slices of step 1: float32. Raises InputError: NaN."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, _ = rows.indices(self.shape[0])
        left, right, _ = columns.indices(self.shape[1])
        if self._released is not None:
            self._released.seek(start * self.shape[1] * self.dtype.itemsize)
            rows_read = np.fromfile(self._released, self.dtype, (stop - start) * self.shape[1])
            found = rows_read.reshape(-1, self.shape[1])[:, left:right]
        else:
            # Opened each time, or the mapped pages of all files would stay in memory.
            with safe_open(self.path, "numpy") as file:
                found = file.get_slice("scores")[start:stop, left:right]
                found = found.astype(np.float32, copy=False)
        if np.isnan(found).any():
            raise InputError(f"{self.path}: holds NaN; the model that made it was broken")
        return found

    def _open_ours(self) -> None:
        metadata = read_metadata(self.path)
        try:
            self.dataset, self.split = metadata["dataset"], metadata["split"]
            self.image_ids = metadata["image_ids"]
            self.origin = ORIGIN.validate_json(metadata["origin"])
            with safe_open(self.path, "numpy") as file:
                scores = file.get_slice("scores")
                shape, dtype = tuple(scores.get_shape()), scores.get_dtype()
        except Exception as error:  # safetensors has an exception of its own
            raise InputError(
                f"{self.path}: is not a result file of eval.py --save_results ({first_line(error)})"
            ) from error
        self._require_matrix(shape, str(dtype), dtype in ("F64", "F32", "F16"))

    def _open_released(self) -> None:
        """A pickle cannot be read in parts: it is read once into a nameless temporary file."""
        scores = read_released_scores(self.path)
        self._require_matrix(scores.shape, str(scores.dtype), scores.dtype.kind == "f")
        try:
            self._released = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - kept open
            for start in range(0, len(scores), CHUNK_ROWS):
                scores[start : start + CHUNK_ROWS].astype(np.float32).tofile(self._released)
        except OSError as error:
            raise InputError(
                f"{tempfile.gettempdir()}: no room to unpack a result file ({first_line(error)}); "
                "TMPDIR=FOLDER chooses another place"
            ) from error

    def _require_matrix(self, shape: tuple[int, ...], dtype: str, is_float: bool) -> None:
        fits = len(shape) == 2 and shape[0] > 0 and shape[1] == CAPTIONS_PER_IMAGE * shape[0]
        if not fits or not is_float:
            raise InputError(
                f"{self.path}: holds scores of shape {shape}, {dtype}, expected (n, 5n) floats: "
                "a row per image, five captions each"
            )
        self.shape = shape
