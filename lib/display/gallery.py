"""A checkpoint in front of a split: pictures and sentences ranked, and what the model looks at."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.batch import TextBatch, map_tensors
from lib.checkpoint import checkpoint_of, load_checkpoint
from lib.data.captions import CAPTIONS_PER_IMAGE, tokenise
from lib.data.dataset import image_loader, text_batches
from lib.device import encoding_batch, resolve_device
from lib.display.encodings import kept
from lib.display.places import Places
from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.encode import PAIR_COLUMNS, PAIR_ROWS, Embeddings, encode_split
from lib.evaluation.encode_shards import key_of
from lib.evaluation.mapped_rows import Rows
from lib.evaluation.opened import FeatureChoice, Opened, Target, open_checkpoint
from lib.evaluation.vectors import How, Vectors, top
from lib.files import check_writable, file_sha256
from lib.models.common.explanation import Explanation

KEPT = "explorer"  # the folder beside a checkpoint in which encodings are kept


@dataclass(frozen=True)
class Shown:
    """What a model looked at in one picture, and in its pair with a sentence."""

    maps: Explanation  # of one picture
    pieces: list[str]  # the sentence's tokens, as the maps of words have them
    score: float | None  # of the pair
    boxes: np.ndarray | None  # (K, 4), as :meth:`Places.of` gives them


class _Tensors:
    """Rows of files as float32 tensors."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return torch.from_numpy(self.rows[rows].astype(np.float32))


def _opened(folder: Path, key: dict[str, Any], exact: bool) -> tuple[Vectors, Embeddings]:
    """Embeddings in shards, if they are what would be encoded now. Raises InputError."""
    shards = EmbeddingShards(folder)
    theirs = {name: shards.key.get(name) for name in key}
    if differing := [name for name in key if theirs[name] != json.loads(json.dumps(key[name]))]:
        raise InputError(
            f"{folder}: is of another checkpoint, split or setting than this run's (its "
            f"{', '.join(differing)} differ); save the embeddings again with eval.py"
        )
    captions = None if shards.captions is None else _Tensors(shards.captions)
    return Vectors(folder, How(exact)), Embeddings(_Tensors(shards.images), captions)


class Gallery:
    """A split that was encoded once. Methods may be called from several threads."""

    def __init__(
        self,
        run: Path,
        target: Target,
        choice: FeatureChoice,
        keep: Path | None = None,
        say: Callable[[str], None] = print,
        embeddings: Path | None = None,
        exact: bool = False,
    ):
        """Encode a split with a run's best checkpoint, or take the encodings that are kept:
        ``explorer/`` beside the checkpoint, or in ``keep``, where each checkpoint has a folder of
        its own; or those of ``embeddings``, a folder of shards of the same checkpoint and split,
        whose index is used if it has one, but for ``exact``, and which may be of pictures alone.
        ``say`` gets what a reader should know. Raises InputError: anything wrong with checkpoint,
        files or arguments."""
        path = checkpoint_of(run)
        self.run, self.target = run, target
        checksum = file_sha256(path)
        name = f"{target.dataset}-{target.split}"
        if target.precision != "fp32":
            name += f"-{target.precision}"
        folder = path.parent / KEPT if keep is None else keep / checksum[:12]
        file = folder / f"{name}.safetensors"
        if embeddings is None:
            check_writable(file)
        about = (str(path), load_checkpoint(path), target, choice)
        self.opened: Opened = open_checkpoint(*about, pictures_alone=embeddings is not None)
        self.split, self.captions = self.opened.split, self.opened.captions
        for note in self.opened.notes:
            say(f"note: {note}")
        self.device = resolve_device(target.device)
        self.model = self.opened.model.to(self.device).eval()
        self.places = Places(self.split, self.opened.config.features)
        self.number = {image_id: i for i, image_id in enumerate(self.split.image_ids)}
        self._lock = threading.Lock()  # one request at a time has the model
        key = key_of(str(path), self.opened.checkpoint, self.split, target)
        key |= {"features": self.opened.config.features.model_dump(exclude={"folder"})}
        self.vectors: Vectors | None = None
        told = f"{run}: {self.title} on {len(self.split.image_ids):,} pictures of "
        told += f"{target.dataset} {target.split}, "
        if embeddings is not None:
            self.vectors, self.embeddings = _opened(embeddings, key, exact)
            say(told + self.vectors.told)
            return
        started = time.perf_counter()
        self.embeddings, was_there = kept(file, key, self._encode)
        seconds = time.perf_counter() - started
        say(
            told
            + (
                f"encodings from {file}"
                if was_there
                else f"encoded in {seconds:.0f} s and kept in {file}"
            )
        )

    @property
    def title(self) -> str:
        """The model's name in tables, and what features it gets."""
        return f"{self.opened.checkpoint.title} {self.opened.config.features.type}"

    def _encode(self, images: int | None) -> Embeddings:
        target = self.target
        batch = target.batch_size or encoding_batch(self.device)
        about = (self.model, self.split, self.captions, batch, target.workers, images)
        return encode_split(*about, precision=target.precision)

    def sentence(self, text: str) -> TextBatch:
        """A batch of one caption, on the model's device. Raises InputError: there is nothing in
        it."""
        if not text.strip():
            raise InputError("the sentence is empty")
        (batch,) = text_batches(tokenise([text], self.opened.tokenizer), 1, 1)
        return batch.to(self.device)

    def scores(self) -> np.ndarray:
        """(n, 5n) float32: every picture with every sentence of the split."""
        with self._lock:
            return self.embeddings.scores(self.model, self.target.precision)

    def search(self, text: str) -> np.ndarray:
        """(n,) float32: every picture's score with a sentence."""
        with self._lock, torch.inference_mode():
            encoded = self.model.encode_texts(self.sentence(text))
            return self._scores(self.embeddings.images, encoded).ravel()

    def best(self, text: str, k: int) -> list[tuple[int, float]]:
        """The ``k`` pictures that fit a sentence best, by their numbers, and their scores."""
        if self.vectors is None:
            scores = self.search(text)
            return [(int(i), float(scores[i])) for i in top(scores, k)]
        with self._lock, torch.inference_mode():
            query = self.model.encode_texts(self.sentence(text)).float().cpu().numpy()
            (scores,), (numbers,) = self.vectors.search(query, k)
        return [(int(i), float(s)) for i, s in zip(numbers, scores, strict=True) if i >= 0]

    def sentences(self, image: int) -> np.ndarray:
        """(5n,) float32: every sentence's score with a picture; none of pictures alone."""
        if not self.split.captions:
            return np.empty(0, np.float32)
        with self._lock, torch.inference_mode():
            one = self.embeddings.images[image : image + 1]
            return self._scores(one, self.embeddings.captions).ravel()

    def _scores(self, images: Any, texts: Any) -> np.ndarray:
        """(n, m), in chunks, so that any gallery fits."""
        rows, columns = (PAIR_ROWS, PAIR_COLUMNS) if self.model.pairwise else (4096, 25_000)
        found = np.empty((len(images), len(texts)), np.float32)
        for left in range(0, len(texts), columns):
            part = map_tensors(texts[left : left + columns], self._here)
            for start in range(0, len(images), rows):
                some = map_tensors(images[start : start + rows], self._here)
                scores = self.model.score(some, part).float().cpu().numpy()
                found[start : start + rows, left : left + columns] = scores
        return found

    def explain(self, image: int, text: str | None, size: tuple[int, int] | None) -> Shown:
        """What the model looks at in a picture of that ``size`` in pixels, if it is known, and with
        a sentence in the pair of both."""
        with self._lock:
            (batch,) = image_loader(self.split, [range(image, image + 1)], 0, False)
            batch = batch.to(self.device)
            sentence = None if text is None else self.sentence(text)
            found = self.model.explain(batch, sentence)
            score, pieces = None, []
            if sentence is not None:
                with torch.inference_mode():
                    encoded = self.model.encode_texts(sentence)
                    score = float(self.model.score(self.model.encode_images(batch), encoded))
                pieces = self.opened.tokenizer.pieces(sentence.ids[0].tolist())
        boxes = self.places.of(image, int(found.mask.sum()), size)
        return Shown(found, pieces, score, boxes)

    def own(self, image: int) -> range:
        """The numbers of a picture's sentences."""
        if not self.split.captions:
            return range(0)
        return range(image * CAPTIONS_PER_IMAGE, (image + 1) * CAPTIONS_PER_IMAGE)

    def _here(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device)
