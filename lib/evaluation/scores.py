"""Saved score matrices and embeddings: safetensors files, read in chunks.

A COCO 5K matrix takes 500 MB; averaging any number of them holds one and a chunk."""

import json
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.errors import InputError, first_line
from lib.evaluation.metrics import CHUNK_ROWS
from lib.evaluation.records import ORIGIN, Evaluated, Origin, require_same_evaluation
from lib.evaluation.released_scores import read_released_scores
from lib.files import atomic_write, require_regular

ABOUT = "image-sentence scores"  # the key of the metadata


def save_results(
    path: str | Path,
    scores: np.ndarray,
    image_ids: list[str],
    dataset: str,
    split: str,
    origin: Origin,
) -> None:
    """Write ``scores`` (n, 5n) float32 and, as metadata, what they are of. Raises InputError."""
    about = {"dataset": dataset, "split": split, "origin": ORIGIN.dump_python(origin)}
    _save(path, {"scores": scores}, {**about, "image_ids": image_ids})


def save_embeddings(
    path: str | Path,
    images: np.ndarray,
    captions: np.ndarray,
    image_ids: list[str],
    dataset: str,
    split: str,
    origin: Origin,
) -> None:
    """Write ``images`` (n, D) and ``captions`` (5n, D), both float32. Raises InputError."""
    about = {"dataset": dataset, "split": split, "origin": ORIGIN.dump_python(origin)}
    arrays = {"images": images, "captions": captions}
    _save(path, arrays, {**about, "image_ids": image_ids})


def _save(path: str | Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} are NaN or infinite; the model is broken")
    sums = {name: crc_of(array) for name, array in arrays.items()}
    about = about | {"crc32": sums | {"metadata": _crc_of_text(about)}}
    with atomic_write(path) as temporary:
        try:
            # One key: safetensors writes several in any order, and equal results are equal files.
            save_file(arrays, temporary, {ABOUT: json.dumps(about)})
        except Exception as error:  # safetensors has an exception of its own for a full disk
            raise OSError(first_line(error)) from error


def crc_of(rows: np.ndarray, crc: int = 0) -> int:
    """A checksum of rows, going on from that of earlier ones."""
    return zlib.crc32(np.ascontiguousarray(rows).data, crc)


def _crc_of_text(about: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What a file of ours says it is of. Raises InputError: no such file, or not a whole one."""
    try:
        if not Path(path).is_file():
            raise FileNotFoundError
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})[ABOUT])
        said = {key: value for key, value in about.items() if key != "crc32"}
        _require_crc(path, about, "metadata", _crc_of_text(said))
        about["image_ids"] = [str(image_id) for image_id in about["image_ids"]]
        require_usable_ids(path, about["image_ids"])
        return about
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; eval.py writes it") from None
    except Exception as error:  # safetensors has an exception of its own
        raise InputError(
            f"{path}: is not a complete file of eval.py --save_results or --save_embeddings "
            f"({first_line(error)}); evaluate again"
        ) from error


def origin_in(path: Path) -> Origin:
    """What made a file of ours. Raises InputError: it does not tell."""
    try:
        return ORIGIN.validate_python(read_metadata(path)["origin"])
    except (KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: does not tell what made it ({first_line(error)}); evaluate again"
        ) from error


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images (n, D) and captions (5n, D), float32, and image ids of ``eval.py --save_embeddings``.
    Raises InputError: no such file, or it holds something else."""
    about = read_metadata(path)
    ids = about["image_ids"]
    with safe_open(path, "numpy") as file:
        kinds = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        found = {name: (kind.get_dtype(), *kind.get_shape()) for name, kind in kinds.items()}
    images, captions = (found.get(name, ()) for name in ("images", "captions"))
    wanted = ("F32", len(ids), *images[2:]), ("F32", CAPTIONS_PER_IMAGE * len(ids), *images[2:])
    if (images, captions) != wanted or len(images) != 3 or not ids:
        raise InputError(f"{path}: holds no embeddings of eval.py --save_embeddings")
    arrays = load_file(path)
    for name, array in arrays.items():
        _require_crc(path, about, name, crc_of(array))
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(f"{path}: holds NaN; the model that made it was broken")
    return arrays["images"], arrays["captions"], ids


def require_replaceable_file(
    array: str, wanted: Evaluated, origin: Callable[[], Origin], path: Path
) -> None:
    """The rule for the output of scores or embeddings: earlier ones of the same evaluation, of the
    same kind, which ``array`` tells; ``origin`` as for records."""
    found = None
    with suppress(InputError, KeyError, TypeError, ValidationError):
        about = read_metadata(path)
        with safe_open(path, "numpy") as file:
            if array in file.keys():  # noqa: SIM118
                theirs = ORIGIN.validate_python(about["origin"])
                found = (theirs, about["dataset"], about["split"])
    require_same_evaluation(path, found, wanted, origin())


def _require_crc(path: str | Path, about: dict[str, Any], name: str, found: int) -> None:
    """Refuse an array that is not the one that was written."""
    sums = about.get("crc32")
    if not isinstance(sums, dict) or sums.get(name) != found:
        raise InputError(
            f"{path}: is damaged: its {name} differ from their checksum; evaluate again"
        )


class SavedScores:
    """A result file's matrix: ``scores[rows]`` and ``scores[rows, columns]`` read from the disk."""

    dtype = np.dtype(np.float32)
    dataset: str | None = None
    split: str | None = None
    image_ids: list[str] | None = None

    def __init__(self, path: str | Path):
        """Open a result file of ours, or one of the public release (``.npy``), which says neither
        dataset nor split nor ids. ``shape`` is (n, 5n). Raises InputError: no such file, damaged,
        unsafe, or not an (n, 5n) matrix of floats."""
        self.path = Path(path)
        self._released: BinaryIO | None = None
        require_regular(path, "a result file")
        try:
            with self.path.open("rb") as file:
                is_released = file.read(6) == np.lib.format.MAGIC_PREFIX
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({first_line(error)}); expected a file or folder that "
                "eval.py --save_results or --save_embeddings wrote"
            ) from error
        if is_released:
            self.origin = Origin(checkpoint=str(path))
            self._spool(read_released_scores(self.path))
            return
        about = read_metadata(path)
        try:
            self.dataset, self.split = about["dataset"], about["split"]
            self.image_ids = about["image_ids"]
            self.origin = ORIGIN.validate_python(about["origin"])
            with safe_open(path, "numpy") as file:
                scores = file.get_slice("scores")
                self._require_matrix(tuple(scores.get_shape()), scores.get_dtype())
                crc = 0
                for start in range(0, len(self), CHUNK_ROWS):
                    crc = crc_of(scores[start : min(start + CHUNK_ROWS, len(self))], crc)
            _require_crc(path, about, "scores", crc)
        except InputError:
            raise
        except Exception as error:  # safetensors has an exception of its own
            raise InputError(
                f"{path}: is not a result file of eval.py --save_results ({first_line(error)})"
            ) from error
        if len(about["image_ids"]) != len(self):
            raise InputError(f"{path}: holds {len(about['image_ids'])} ids for {len(self)} images")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        """Rows, or rows and columns, by slices of step 1: float32. Raises InputError: NaN."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, _ = rows.indices(self.shape[0])
        left, right, _ = columns.indices(self.shape[1])
        if self._released is not None:
            self._released.seek(start * self.shape[1] * self.dtype.itemsize)
            flat = np.fromfile(self._released, self.dtype, (stop - start) * self.shape[1])
            found = flat.reshape(-1, self.shape[1])[:, left:right]
        else:
            # Opened each time, or the mapped pages of all files would stay in memory.
            with safe_open(self.path, "numpy") as file:
                found = file.get_slice("scores")[start:stop, left:right]
        if not np.isfinite(found).all():
            message = "holds NaN or infinite scores; the model that made it was broken"
            raise InputError(f"{self.path}: {message}")
        return found.astype(np.float32, copy=False)

    def _spool(self, scores: np.ndarray) -> None:
        """A pickle cannot be read in parts: its matrix goes to a nameless temporary file."""
        self._require_matrix(scores.shape, scores.dtype.str[1:].upper())
        try:
            self._released = tempfile.TemporaryFile()  # noqa: SIM115 - kept open
            for start in range(0, len(scores), CHUNK_ROWS):
                chunk = scores[start : start + CHUNK_ROWS].astype(np.float32)
                chunk.tofile(self._released)
        except OSError as error:
            raise InputError(
                f"{tempfile.gettempdir()}: no room to unpack a result file ({first_line(error)}); "
                "TMPDIR=FOLDER chooses another place"
            ) from error

    def _require_matrix(self, shape: tuple[int, ...], dtype: str) -> None:
        fits = len(shape) == 2 and shape[0] > 0 and shape[1] == CAPTIONS_PER_IMAGE * shape[0]
        if not fits or dtype not in ("F2", "F4", "F8", "F16", "F32", "F64"):
            raise InputError(
                f"{self.path}: holds scores of shape {shape}, {dtype}, expected (n, 5n) floats: "
                "a row per image, five captions each"
            )
        self.shape = shape
