"""A trained model in a Python program: pictures and sentences to vectors, and their scores.

from lib.retriever import load

model = load("runs/f30k_region")
images = model.encode_images([{"features": "391895.npy", "segmentations": shares, ...}])
texts = model.encode_texts(["two dogs on a beach"])
print(model.score(images, texts))
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib.batch import concatenate, map_tensors
from lib.checkpoint import load_checkpoint, load_model, source_of
from lib.config import Config
from lib.data.captions import tokenise
from lib.data.dataset import ImageItem, collate_images, text_batches
from lib.data.feature_files import read_features
from lib.data.images import STRIDE, bilinear
from lib.data.layouts import rows_of
from lib.data.pictures import PictureError, decode
from lib.device import encoding_batch, resolve_device
from lib.errors import InputError, first_line
from lib.evaluation.encode import Embeddings
from lib.evaluation.opened import FeatureChoice, require_features
from lib.models import family_of
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Input, Tokenizer

Given = str | Path | np.ndarray | Tensor | Image.Image  # a file, or what would be in it
FEATURES = "features"  # the key of an image's regions or cells


class Retriever:
    """A model of any family, in evaluation mode. :func:`load` makes one."""

    def __init__(
        self, model: RetrievalModel, tokenizer: Tokenizer, config: Config, device: torch.device
    ):
        """Put ``model`` on ``device``; ``config`` says which features it gets."""
        self.model, self.tokenizer = model.to(device).eval(), tokenizer
        self.config, self.device = config, device
        self.reader = family_of(config.model).picture_reader(config.model)
        self.inputs: dict[str, Input] = {
            spec.stem: spec for spec in family_of(config.model).inputs(config.model)
        }

    def __repr__(self) -> str:
        return f"<{self.title} on {self.device}>"

    @property
    def title(self) -> str:
        """The model's name in tables, and its features, as in "VSE-infinity region"."""
        return f"{family_of(self.config.model).title(self.config.model)} {self._kind}"

    @property
    def needs(self) -> list[str]:
        """The keys of an image: ``features``, and the family's own arrays by the names of their
        files, such as ``segmentations``."""
        return [FEATURES, *self.inputs]

    @property
    def _kind(self) -> str:
        return self.config.features.type

    def encode_images(
        self, images: Sequence[Given | Mapping[str, Given]], batch_size: int | None = None
    ) -> Any:
        """Encode n images.

        Args:
            images: one entry each, a dict with the keys :attr:`needs`; where ``features`` alone is
                needed, it may stand without a dict. Values are arrays or files of them (``.npy``;
                features also ``.pth``): ``features`` (K, img_dim) regions, or cells as a list or a
                map in any layout; for a model that reads pixels, a picture's file, a PIL image,
                or (H, W, 3) uint8 RGB. The other arrays have the shapes of ``docs/data.md``.
            batch_size: images at once; default: 128 on a GPU, 32 on a CPU.

        Returns:
            (n, D) float32, unit vectors as trained; for a family that scores pairs
            n sets of tensors, for :meth:`score` alone.

        Raises InputError: a key is missing or unknown, or a value is of another shape.
        """
        if isinstance(images, (Mapping, str, Path, Image.Image)):
            raise InputError("encode_images wants a list of images, not one image")
        if len(images) == 0:
            raise InputError("there is no image to encode")
        _require_batch(batch_size)
        axes = {spec.name: spec.region_axes for spec in self.inputs.values()}
        size = batch_size or encoding_batch(self.device)
        encoded = []
        with torch.inference_mode():
            for start in range(0, len(images), size):
                numbers = range(start, min(start + size, len(images)))
                batch = collate_images([self._item(i, images[i]) for i in numbers], axes)
                encoded.append(self._kept(self.model.encode_images(batch.to(self.device))))
        return self._vectors(concatenate(encoded))

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> Any:
        """Encode m sentences: (m, D) float32, or m sets, as :meth:`encode_images` has it. Raises
        InputError: a sentence is empty."""
        if isinstance(texts, str):
            raise InputError("encode_texts wants a list of sentences, not one sentence")
        if len(texts) == 0:
            raise InputError("there is no sentence to encode")
        _require_batch(batch_size)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"sentence {number}: is {type(text).__name__}, expected a string")
            if not text.strip() or any("\ud800" <= sign <= "\udfff" for sign in text):
                raise InputError(f"sentence {number}: {text!r} is empty, or no text")
        together = self.model.caption_batch
        size = together or batch_size or encoding_batch(self.device)
        batches = text_batches(
            tokenise(list(texts), self.tokenizer), len(texts), size, together is not None
        )
        with torch.inference_mode():
            encoded = [self._kept(self.model.encode_texts(b.to(self.device))) for b in batches]
        place = torch.cat([batch.indices for batch in batches]).argsort()
        return self._vectors(map_tensors(concatenate(encoded), lambda tensor: tensor[place]))

    def score(self, images: Any, texts: Any) -> np.ndarray:
        """(n, m) float32: how well each image and each sentence belong together, from what
        :meth:`encode_images` and :meth:`encode_texts` gave. Raises InputError: vectors of another
        shape."""
        both: list[Any] = []
        for name, encoded in (("images", images), ("texts", texts)):
            if isinstance(encoded, np.ndarray):
                if encoded.ndim != 2:
                    raise InputError(
                        f"{name}: have shape {encoded.shape}, expected (n, D); keep the first axis "
                        "of one, as in images[:1]"
                    )
                encoded = torch.from_numpy(encoded.astype(np.float32))
            both.append(encoded)
        return Embeddings(*both).scores(self.model)

    @staticmethod
    def _kept(encoded: Any) -> Any:
        return map_tensors(encoded, lambda t: (t.float() if t.is_floating_point() else t).cpu())

    @staticmethod
    def _vectors(encoded: Any) -> Any:
        return encoded.numpy() if isinstance(encoded, Tensor) else encoded

    def _item(self, number: int, image: Any) -> ImageItem:
        where = f"image {number}"
        given = image if isinstance(image, Mapping) else {FEATURES: image}
        missing = [key for key in self.needs if key not in given]
        if missing or (unknown := [key for key in given if key not in self.needs]):
            problem = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which is not read"
            raise InputError(f"{where}: {problem}; {self.title} needs {', '.join(self.needs)}")
        if self._kind == "images":
            rows, cells = self._pixels(where, given[FEATURES])
            count = None
        else:
            array = _array(f"{where}: {FEATURES}", given[FEATURES])
            name = f"{where}: {FEATURES}"
            rows = rows_of(name, array, self.config.model.img_dim, self.config.features)
            if not np.isfinite(rows).all():
                raise InputError(f"{name}: holds NaN or infinite values")
            cells, count = None, len(rows)
        arrays = {
            spec.name: _own(f"{where}: {stem}", spec, given[stem], count)
            for stem, spec in self.inputs.items()
        }
        return ImageItem(number, rows, arrays, cells)

    def _pixels(self, where: str, given: Given) -> tuple[np.ndarray, np.ndarray]:
        features, reader = self.config.features, self.reader
        try:
            if isinstance(given, Image.Image):
                picture = np.asarray(given.convert("RGB"))
            elif isinstance(given, (str, Path)):
                picture = np.asarray(decode(Path(given)))
            else:
                picture = np.asarray(given)
        except PictureError as error:
            raise InputError(f"{where}: {given}: {error}") from error
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise InputError(
                f"{where}: is {picture.dtype} of shape {picture.shape}, expected a picture, "
                "(H, W, 3) uint8"
            )
        if reader is not None:
            return reader(Image.fromarray(picture)), np.ones((1, 1), bool)
        side = features.grid_size or -(-features.image_size // STRIDE)
        return bilinear(picture, features.image_size), np.ones((side, side), bool)


def _require_batch(size: int | None) -> None:
    if size is not None and size < 1:
        raise InputError(f"batch_size is {size}, expected at least 1")


def _array(where: str, given: Given) -> np.ndarray:
    if isinstance(given, (str, Path)):
        return read_features(Path(given))
    if isinstance(given, Tensor):
        given = given.detach().float().numpy(force=True)
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InputError(f"{where}: is no array ({first_line(error)})") from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where}: is {array.dtype}, expected numbers")
    return array


def _own(where: str, spec: Input, given: Given, regions: int | None) -> np.ndarray:
    """An array of the family's, checked as those of a split are."""
    values = _array(where, given).astype(np.float32)
    shape = tuple(spec.shape)
    fits = len(shape) == values.ndim and all(
        size in (None, found) for size, found in zip(shape, values.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{where}: has shape {values.shape}, expected ({wanted}): {spec.meaning}")
    problem = None if np.isfinite(values).all() else "NaN or infinite values"
    if problem is None and spec.problem is not None:
        problem = spec.problem(values)
    if problem is not None:
        raise InputError(f"{where}: holds {problem}")
    axes = spec.region_axes
    if axes and regions is not None and any(size < regions for size in values.shape[:axes]):
        raise InputError(f"{where}: has {len(values)} regions, the features have {regions}")
    return values[(slice(regions),) * axes] if axes else values


def load(
    run: str | Path,
    device: str = "auto",
    features: str | None = None,
    data_path: str | Path = "data",
    **locations: str,
) -> Retriever:
    """A trained model.

    Args:
        run: a run's folder, a checkpoint, a released file, or ``hf://NAME``, a model of the hub.
        device: auto, cpu or cuda.
        features: region or grid, for a released file that does not tell; default: region.
        data_path: holds ``vocab/``, for a released file that names one.
        locations: where a family's own files are, as ``bert="FOLDER"`` or ``vocab="FILE"``.

    Raises InputError: no such run, or a file of it is missing or broken.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}, expected auto, cpu or cuda")
    path = source_of(run)
    checkpoint = load_checkpoint(path).relocated(locations)
    choice = FeatureChoice(features)
    require_features(path, checkpoint, choice)
    trained = checkpoint.config
    config = trained.model_copy(update={"features": choice.apply(trained.features)})
    model, tokenizer = load_model(checkpoint, path, data_path)
    return Retriever(model, tokenizer, config, resolve_device(device))
