"""Search among many image embeddings with FAISS: exact up to a million, approximate beyond.

Vectors are of unit length, or their products are what is wanted: the score is the inner product.
"""

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lib.errors import InputError, first_line
from lib.files import check_writable, replacing

EXACT_UP_TO = 1_000_000  # vectors; above, lists of similar ones are searched
SAMPLE_PER_LIST = 40  # vectors that a list's centre is learnt from
PROBED = 1 / 16  # share of the lists that a query looks into


def build(vectors: np.ndarray, exact: bool | None = None) -> Any:
    """A FAISS index of (n, D) float32 vectors by inner product.

    Args:
        vectors: row i is found as number i.
        exact: None: as ``EXACT_UP_TO`` says. An exact index keeps 4 D bytes per vector; the other
            D bytes, rounded to 8 bits, in lists around 4 sqrt(n) centres.

    Raises:
        InputError: FAISS is not installed.
    """
    faiss = _faiss()
    count, width = vectors.shape
    if exact is None:
        exact = count <= EXACT_UP_TO
    if exact:
        index = faiss.IndexFlatIP(width)
    else:
        lists = max(int(4 * count**0.5), 1)
        rounded, product = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        centres = faiss.IndexFlatIP(width)
        index = faiss.IndexIVFScalarQuantizer(centres, width, lists, rounded, product)
        index.nprobe = max(round(lists * PROBED), 1)
        size = min(count, SAMPLE_PER_LIST * lists)
        chosen = np.random.default_rng(0).choice(count, size, replace=False)
        index.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
    index.add(np.ascontiguousarray(vectors))
    return index


def open_index(path: Path, vectors: np.ndarray) -> Any:
    """The index of ``vectors`` that is saved at ``path``; built and saved where there is none.

    A file ``path.json`` beside it says what it is of.

    Raises:
        InputError: FAISS is not installed, the file is damaged, it belongs to other vectors, or it
            cannot be written.
    """
    faiss, card = _faiss(), path.with_name(path.name + ".json")
    wanted = {"vectors": list(vectors.shape), "sha256": _sha256(vectors)}
    if path.exists() or card.exists():
        try:
            found = json.loads(card.read_text(encoding="utf-8"))
            belongs = {key: found[key] for key in wanted} == wanted
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: nothing readable beside it, in {card.name}, says what it is an index of "
                f"({first_line(error)}); delete both, or name another file"
            ) from error
        if not belongs:
            count, width = found["vectors"]
            raise InputError(
                f"{path}: is an index of other embeddings ({count:,} of width {width}; wanted "
                f"{len(vectors):,} of width {vectors.shape[1]}, these very ones). Delete it and "
                f"{card.name} to build it anew, or name another file"
            )
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise InputError(
                f"{path}: cannot be read as an index ({first_line(error)}); delete it and "
                f"{card.name} to build it anew"
            ) from error
        if (index.ntotal, index.d) != vectors.shape:
            raise InputError(f"{path}: does not fit {card.name}; delete both to build it anew")
        return index
    check_writable(path)
    index = build(vectors)
    with replacing(path) as temporary:
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError as error:  # so FAISS reports a full disk
            raise OSError(first_line(error)) from error
    with replacing(card) as temporary:
        temporary.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    return index


def _sha256(vectors: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest()


def _faiss() -> ModuleType:
    try:
        import faiss  # optional
    except ImportError:
        raise InputError(
            "--index needs FAISS: pip install faiss-cpu, or search without --index"
        ) from None
    return faiss
