"""Score matrices of result files, ours and the public release's, read chunk by chunk.

A COCO 5K matrix takes 500 MB; averaging any number of them holds one and a chunk.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lib.errors import InputError, first_line
from lib.evaluation.metrics import CHUNK_ROWS
from lib.evaluation.protocols import CAPTIONS_PER_IMAGE
from lib.evaluation.released_results import read_released_results
from lib.evaluation.results import Origin


class SavedScores:
    """A result file's matrix: ``scores[rows]`` and ``scores[rows, columns]`` read from the disk."""

    def __init__(self, path: str | Path):
        """Open a result file of ours (``.npz``) or of the public release (``.npy``).

        Attributes: ``shape`` (n, 5n); ``dtype`` float32; ``dataset``, ``split`` and ``image_ids``,
        None where a released file does not say; ``origin``.

        Raises:
            InputError: no such file, damaged, unsafe, or no (n, 5n) matrix of floats.
        """
        self.path = Path(path)
        self.dtype = np.dtype(np.float32)
        self.dataset: str | None = None
        self.split: str | None = None
        self.image_ids: list[str] | None = None
        self.origin = Origin(checkpoint=str(path))
        try:
            with self.path.open("rb") as file:
                start = file.read(6)
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; eval.py --save_results writes it, as scripts/eval_*.sh do"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({first_line(error)})") from error
        if start == np.lib.format.MAGIC_PREFIX:
            self._file, self._offset, self._stored = self._spooled_release()
        elif start.startswith(b"PK"):
            self._file, self._offset, self._stored = self._open_npz()
        else:
            raise InputError(
                f"{path}: is neither a result file of eval.py --save_results (.npz) nor one of the "
                "public release (.npy)"
            )
        n = self.shape[0]
        if self.image_ids is not None and len(self.image_ids) != n:
            raise InputError(f"{path}: holds {len(self.image_ids)} ids for {n} images")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        """Rows, or rows and columns, by slices of step 1: float32.

        Raises:
            InputError: NaN, or the file was cut short since it was opened.
        """
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, _ = rows.indices(self.shape[0])
        width = len(range(*columns.indices(self.shape[1])))
        result = np.empty((max(stop - start, 0), width), np.float32)
        for first in range(start, stop, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, stop)
            self._file.seek(self._offset + first * self.shape[1] * self._stored.itemsize)
            chunk = np.empty((last - first, self.shape[1]), self._stored)
            if self._file.readinto(chunk) != chunk.nbytes:
                raise InputError(f"{self.path}: is cut short")
            if np.isnan(chunk).any():
                raise InputError(f"{self.path}: holds NaN; the model that made it was broken")
            result[first - start : last - start] = chunk[:, columns]
        return result

    def _open_npz(self) -> tuple[BinaryIO, int, np.dtype]:
        try:
            with np.load(self.path, allow_pickle=False) as small:
                self.dataset, self.split = (str(small[name]) for name in ("dataset", "split"))
                self.image_ids = [str(image_id) for image_id in small["image_ids"]]
                if "origin" in small:
                    self.origin = Origin(**json.loads(str(small["origin"])))
            with zipfile.ZipFile(self.path) as archive, archive.open("scores.npy") as stream:
                version = np.lib.format.read_magic(stream)
                if version != (1, 0):
                    raise ValueError(f"its matrix has .npy version {version}")
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
                self._require_matrix(shape, dtype, fortran)
                info = archive.getinfo("scores.npy")
                if info.compress_type != zipfile.ZIP_STORED:
                    return self._spooled(stream), 0, dtype
                header = stream.tell()
                while stream.read(1 << 20):  # at the end, the archive's checksum is compared
                    pass
            file = self.path.open("rb")
            file.seek(info.header_offset + 26)  # of the local header: two lengths, then two texts
            lengths = np.frombuffer(file.read(4), "<u2")
            return file, info.header_offset + 30 + int(lengths.sum()) + header, dtype
        except InputError:
            raise
        except Exception as error:  # damaged archives fail in zipfile and NumPy in many ways
            raise InputError(
                f"{self.path}: is no whole result file of eval.py --save_results "
                f"({first_line(error)})"
            ) from error

    def _spooled_release(self) -> tuple[BinaryIO, int, np.dtype]:
        """A pickle cannot be read in parts: read it once, and keep its rows in a nameless file."""
        scores = read_released_results(self.path)
        self._require_matrix(scores.shape, scores.dtype, False)
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the matrix
            for start in range(0, len(scores), CHUNK_ROWS):
                rows = scores[start : start + CHUNK_ROWS]
                file.write(np.ascontiguousarray(rows, np.float32))
            file.flush()
        except OSError as error:
            raise _no_room(error) from error
        return file, 0, np.dtype(np.float32)

    @staticmethod
    def _spooled(stream: BinaryIO) -> BinaryIO:
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115
            while piece := stream.read(1 << 20):
                file.write(piece)
            file.flush()
        except OSError as error:
            raise _no_room(error) from error
        return file

    def _require_matrix(self, shape: tuple[int, ...], dtype: np.dtype, fortran: bool) -> None:
        fits = len(shape) == 2 and shape[0] > 0 and shape[1] == CAPTIONS_PER_IMAGE * shape[0]
        if not fits or dtype.kind != "f" or fortran:
            raise InputError(
                f"{self.path}: holds scores of shape {shape}, {dtype}, expected (n, 5n) floats: "
                "a row per image, five captions each"
            )
        self.shape = shape


def _no_room(error: OSError) -> InputError:
    return InputError(
        f"{tempfile.gettempdir()}: no room to unpack a result file ({first_line(error)}); "
        "TMPDIR=FOLDER chooses another place"
    )
