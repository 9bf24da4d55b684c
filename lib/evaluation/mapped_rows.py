"""Vectors and ids in files, mapped and not loaded; NumPy alone."""

import errno
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

OPEN = 700  # files that are mapped at once, each of which keeps a file descriptor


class Rows:
    """(n, D) vectors in files of consecutive rows, each mapped when it is needed."""

    def __init__(self, paths: list[Path], starts: np.ndarray, width: int, dtype: np.dtype):
        """``starts`` is (files + 1,): where each file's rows begin, and where the last one ends."""
        self.paths, self.starts, self.dtype = paths, starts, dtype
        self.shape = (int(starts[-1]), width)
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Consecutive rows, by a slice of step 1: a view of a file, or a copy out of several."""
        start, stop, _ = rows.indices(len(self))
        parts = []
        file = int(np.searchsorted(self.starts, start, "right")) - 1
        while start < stop:
            first, end = int(self.starts[file]), min(int(self.starts[file + 1]), stop)
            parts.append(self._map(file)[start - first : end - first])
            start, file = end, file + 1
        if not parts:
            return np.empty((0, self.shape[1]), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """(k,) int64 -> these rows, (k, D), in their order."""
        found = np.empty((len(numbers), self.shape[1]), self.dtype)
        files = np.searchsorted(self.starts, numbers, "right") - 1
        for file in np.unique(files).tolist():
            chosen = files == file
            found[chosen] = self._map(file)[numbers[chosen] - self.starts[file]]
        return found

    def blocks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in their order, ``rows`` at a time, and where each block begins."""
        for start in range(0, len(self), rows):
            yield start, self[start : start + rows]

    def _map(self, file: int) -> np.ndarray:
        found = self._maps.get(file)
        if found is None:
            while len(self._maps) >= OPEN:
                self._maps.popitem(last=False)
            try:
                found = self._mapped(file)
            except OSError as error:  # this machine allows fewer
                if error.errno != errno.EMFILE or not self._maps:
                    raise
                self._maps.clear()
                found = self._mapped(file)
        self._maps[file] = found
        self._maps.move_to_end(file)
        return found

    def _mapped(self, file: int) -> np.ndarray:
        # "c" and not "r": torch takes arrays that can be written, and nothing here writes them.
        return np.load(self.paths[file], mmap_mode="c", allow_pickle=False)


class Ids:
    """Image ids of a file, one a line, as few bytes as they are."""

    def __init__(self, path: Path):
        self._bytes = path.read_bytes()
        ends = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == ord("\n"))
        self._starts = np.concatenate(([0], ends + 1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        start, end = self._starts[number : number + 2]
        return self._bytes[start : end - 1].decode()

    def sha256(self) -> str:
        """The file's checksum."""
        return hashlib.sha256(self._bytes).hexdigest()
