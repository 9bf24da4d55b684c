"""A finished index, searched: the nearest codes, scored again with the vectors themselves."""

import numpy as np

from lib.errors import InputError, first_line
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_folder import FOLDER, INDEX, KIND, LISTS, MANIFEST, load_faiss, read_index
from lib.files import file_sha256, read_json

PROBES, CANDIDATES = 64, 1000  # lists that a search reads, and vectors that it scores exactly


class VectorIndex:
    """A finished index in front of the embeddings that it is of."""

    def __init__(self, shards: EmbeddingShards, probes: int = PROBES, candidates: int = CANDIDATES):
        """Open the index beside ``shards``. Raises InputError: it is of other embeddings, or its
        files are not those that were written."""
        folder = shards.path / FOLDER
        self.faiss = load_faiss(f"; once {folder} is moved away, all vectors are compared")
        manifest = folder / MANIFEST
        found = read_json(manifest, "manifest of an index")
        try:
            if found["kind"] != KIND:
                raise ValueError(f"its kind is {found['kind']!r}")
            theirs = str(found["embeddings"])
            sizes = {str(name): int(file["bytes"]) for name, file in found["files"].items()}
            sha256 = str(found["files"][INDEX]["sha256"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{manifest}: is no manifest of an index ({first_line(error)}); build it again"
            ) from error
        if theirs != shards.checksum:
            raise InputError(
                f"{folder}: is an index of other embeddings ({theirs[:12]}...) than those beside "
                f"it ({shards.checksum[:12]}...); scripts/build_index.py {shards.path} --overwrite "
                "builds it again"
            )
        for name in (INDEX, LISTS):
            size = (folder / name).stat().st_size if (folder / name).is_file() else None
            if size is None or size != sizes.get(name):
                raise InputError(
                    f"{folder / name}: is missing, or cut short; build it again with --overwrite"
                )
        if file_sha256(folder / INDEX) != sha256:  # the lists, which are large, by their size alone
            raise InputError(f"{folder / INDEX}: is damaged; build it again with --overwrite")
        flags = self.faiss.IO_FLAG_READ_ONLY | self.faiss.IO_FLAG_ONDISK_SAME_DIR
        self.index = read_index(self.faiss, folder / INDEX, flags)
        self.lists = self.faiss.extract_index_ivf(self.index)
        self.shards, self.candidates = shards, candidates
        self.probes = min(probes, self.lists.nlist)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(q, D) float32 -> scores (q, k) float32 and numbers (q, k) int64 of the best vectors that
        were found, best first; the number is -1 where there are fewer."""
        self.lists.nprobe = self.probes
        _, found = self.index.search(np.ascontiguousarray(queries), max(k, self.candidates))
        scores = np.full((len(queries), k), -np.inf, np.float32)
        numbers = np.full((len(queries), k), -1, np.int64)
        for row, (query, candidates) in enumerate(zip(queries, found, strict=True)):
            own = np.sort(candidates[candidates >= 0])
            exact = self.shards.images.take(own).astype(np.float32) @ query
            best = np.argsort(-exact, kind="stable")[:k]
            scores[row, : len(best)], numbers[row, : len(best)] = exact[best], own[best]
        return scores, numbers
