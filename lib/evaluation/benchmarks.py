"""COCO's test images with more right answers than their own captions: ECCV Caption, CxC and PMRP.

ECCV Caption (Chun et al., ECCV 2022) had people verify what five models retrieve; CrissCrossed
Captions (Parekh et al., EACL 2021) had pairs rated; PMRP (Chun et al., CVPR 2021) takes pictures of
the same categories. Who belongs to whom, by COCO's ids, is in the package ``eccv_caption``, an
extra; its figures are recomputed here from full rankings that are never held, and a test holds both
equal. CxC's own ratings, for pictures among pictures and captions among captions, and PMRP's files
are not in the package: ``files`` is a folder of them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError
from lib.evaluation.benchmark_files import (
    CXC_FILES,
    Answers,
    read_caption_ids,
    read_plausible,
    read_ratings,
)
from lib.evaluation.correspondence import (
    Correspondence,
    PrecisionMetrics,
    correspondence,
    precisions,
    recalls,
    retrieval_positions,
)
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.products import Products
from lib.evaluation.protocols import ProtocolResult

NAMES = {"cxc": "CxC", "eccv": "ECCV Caption", "pmrp": "PMRP"}
NO_VECTORS = (
    "CxC's pictures among pictures and captions among captions are left out: they need vectors, "
    "which eval.py has of a model that does not score pairs"
)
INTRA = "CxC i2i and t2t"
# CxC's ratings go from 0 to 5. With this rule its ratings of captions and pictures give the
# package's correspondences exactly: whoever is rated belongs together from here on, and not below;
# who is not rated belongs together if COCO says so.
LEAST_RATING = 3.0
IMAGES = 5000


@dataclass(frozen=True)
class Benchmark:
    """One correspondence in both directions, by the split's numbers."""

    key: str
    i2t: Correspondence
    t2i: Correspondence

    def evaluate(self, scores: Any) -> ProtocolResult:
        """Its figures of (n, 5n) scores, an array or what is read in chunks."""
        places = retrieval_positions(scores, self.i2t), retrieval_positions(scores, self.t2i, True)
        both = ((places[0], self.i2t), (places[1], self.t2i))
        metrics = RetrievalMetrics(recalls(*both[0]), recalls(*both[1]))
        precision = None
        if self.key != "cxc":  # which has few answers, and is known by its recalls
            precision = PrecisionMetrics(*precisions(*both[0]), *precisions(*both[1]))
        return ProtocolResult(
            NAMES[self.key], IMAGES, metrics, benchmark=self.key, precision=precision
        )


@dataclass(frozen=True)
class Intramodal:
    """CxC's pictures among pictures and captions among captions, by the split's numbers."""

    i2i: Correspondence
    t2t: Correspondence

    def evaluate(self, images: np.ndarray, captions: np.ndarray) -> ProtocolResult:
        """Its recalls by the products of (n, D) and of (5n, D) vectors."""
        i2i, t2t = (
            recalls(retrieval_positions(Products(vectors, vectors), matches, alone=True), matches)
            for vectors, matches in ((images, self.i2i), (captions, self.t2t))
        )
        return ProtocolResult(INTRA, IMAGES, RetrievalMetrics(i2i, t2t), benchmark="cxc_intra")


@dataclass(frozen=True)
class Benchmarks:
    """Those that were asked for, in front of a split."""

    of_scores: list[Benchmark]
    of_vectors: Intramodal | None
    notes: list[str]

    def left_out(self, vectors: Any) -> list[str]:
        """What a reader should know where there are no ``vectors``."""
        return [NO_VECTORS] if self.of_vectors is not None and vectors is None else []

    def evaluate(self, scores: Any, vectors: tuple | None = None) -> list[ProtocolResult]:
        """All figures of (n, 5n) scores and, where ``vectors`` of images and captions are given and
        CxC's ratings are there, of pictures among pictures and captions among captions."""
        found = [benchmark.evaluate(scores) for benchmark in self.of_scores]
        if self.of_vectors is not None and vectors is not None:
            found.append(self.of_vectors.evaluate(*vectors))
        return found


def require_coco(dataset: str, split: str) -> None:
    """Refuse another split than the benchmarks'. Raises InputError."""
    if (dataset, split) != ("coco", "testall"):
        raise InputError(
            f"--benchmarks are of coco's testall, and this is {dataset} {split}; leave them out"
        )


def open_benchmarks(
    names: Sequence[str],
    dataset: str,
    split: str,
    image_ids: Sequence[str] | None,
    caption_ids: Path | None = None,
    files: Path | None = None,
) -> Benchmarks:
    """Find who belongs to whom in a split.

    Args:
        names: of ``NAMES``.
        image_ids: the split's, COCO's numbers; None: of a result file that does not tell.
        caption_ids: file of the captions' ids; None: an image's captions stand in the order of
            their ids, as in Karpathy's split and all files made from it.
        files: folder with ``pm_*.json`` of PMRP, or ``sis_test.csv`` and ``sts_test.csv`` of CxC.

    Raises InputError: the package or a file is missing or damaged, or the split is another one.
    """
    require_coco(dataset, split)
    if files is not None and not files.is_dir():
        raise InputError(f"--benchmark_files {files}: no such folder")
    package = _package()
    own: Answers = package.coco_gts["i2t"]
    images, captions = _ids(own, image_ids, caption_ids)
    number = {one: i for i, one in enumerate(images)}, {one: i for i, one in enumerate(captions)}
    notes = []
    if caption_ids is None:
        notes.append(
            "the captions of an image are taken to stand in the order of COCO's ids, as in "
            "Karpathy's split; --caption_ids FILE names them otherwise (scripts/"
            "prepare_captions.py --karpathy writes testall_sentids.txt, which eval.py finds)"
        )
    found = []
    for name in sorted(names, key=list(NAMES).index):
        if name == "pmrp":
            both = read_plausible(files)
        else:
            both = package.eccv_gts if name == "eccv" else package.cxc_gts
        i2t = _numbered(both["i2t"], number[0], number[1])
        t2i = _numbered(both["t2i"], number[1], number[0])
        if not (len(i2t) and len(t2i)):
            raise InputError(
                f"{files or NAMES[name]}: its {NAMES[name]} tells nothing of the split's images "
                "and captions; is it by COCO's ids?"
            )
        found.append(Benchmark(name, i2t, t2i))
    ratings = None
    if "cxc" in names and files is not None and any((files / n).is_file() for n in CXC_FILES):
        ratings = _intramodal(files, own, *number)
    if files is not None and ratings is None and "pmrp" not in names:
        if "cxc" not in names:
            raise InputError(f"--benchmark_files {files}: is for cxc and pmrp, not for eccv alone")
        raise InputError(f"--benchmark_files {files}: holds neither {' nor '.join(CXC_FILES)}")
    return Benchmarks(found, ratings, notes)


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would rather have another JSON reader
            from eccv_caption import Metrics

            return Metrics()
    except ImportError as error:
        raise InputError(
            "--benchmarks needs the package eccv_caption, an extra: pip install eccv_caption, with "
            "the version in requirements.txt"
        ) from error


def _ids(
    own: Answers, image_ids: Sequence[str] | None, caption_ids: Path | None
) -> tuple[list[int], list[int]]:
    """COCO's numbers of the split's images and captions."""
    if image_ids is None:
        raise InputError("--benchmarks needs image ids, which a released result file does not hold")
    images = [int(one) if one.isdecimal() else -1 for one in image_ids]
    others = [one for one, number in zip(image_ids, images, strict=True) if number not in own]
    if len(images) != len(own) or others:
        told = f", and {others[0]} is none of them" if others else ""
        raise InputError(
            f"--benchmarks are of the {len(own):,} images of Karpathy's test split of COCO, by "
            f"COCO's ids; the split holds {len(images):,} images{told}"
        )
    if caption_ids is None:
        return images, [caption for image in images for caption in sorted(own[image])]
    captions = read_caption_ids(caption_ids)
    if len(captions) != CAPTIONS_PER_IMAGE * len(images):
        raise InputError(
            f"{caption_ids}: holds {len(captions):,} ids, expected five for each of "
            f"{len(images):,} images"
        )
    for number, image in enumerate(images):
        part = captions[CAPTIONS_PER_IMAGE * number : CAPTIONS_PER_IMAGE * (number + 1)]
        if sorted(part) != sorted(own[image]):
            raise InputError(
                f"{caption_ids}: gives image {image} the captions {part}, COCO's are "
                f"{sorted(own[image])}; are its lines in the split's order?"
            )
    return images, captions


def _numbered(
    answers: Mapping[int, Sequence[int]], queries: Mapping[int, int], gallery: Mapping[int, int]
) -> Correspondence:
    """The same by the split's numbers. Some captions of ECCV Caption are none of the five of their
    image: the package counts them among the right answers, though no gallery holds them."""
    found = {
        queries[query]: [gallery.get(one, -1) for one in dict.fromkeys(right)]
        for query, right in answers.items()
        if query in queries
    }
    return correspondence(found)


def _intramodal(
    files: Path, own: Answers, images: Mapping[int, int], captions: Mapping[int, int]
) -> Intramodal:
    pictures: dict[int, set[int]] = {number: set() for number in images.values()}
    texts: dict[int, set[int]] = {number: set() for number in captions.values()}
    for together in own.values():  # captions of one image, as COCO has them
        for caption in together:
            texts[captions[caption]] |= {captions[c] for c in together if c != caption}
    for name, number, right in ((CXC_FILES[0], images, pictures), (CXC_FILES[1], captions, texts)):
        for one, other, rating in read_ratings(files / name):
            if one not in number or other not in number:
                continue
            pair = number[one], number[other]
            for query, answer in (pair, pair[::-1]):
                (right[query].add if rating >= LEAST_RATING else right[query].discard)(answer)
    return Intramodal(*(correspondence({q: sorted(a) for q, a in r.items()})
                        for r in (pictures, texts)))  # fmt: skip
