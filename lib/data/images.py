"""Pictures as a split's features, for training from pixels (VSE-infinity)."""

from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from lib.config import FeaturesConfig
from lib.data.augmentation import Window, drop_rate, kept_rows, sample_window
from lib.data.memmap import sample
from lib.data.pictures import ID_MAPPING, PictureError, PictureFolder, decode
from lib.errors import InputError
from lib.files import file_sha256, text_sha256
from lib.models.family import PictureReader

Change = Callable[[Image.Image], Image.Image]  # 8-bit RGB of the same size
STRIDE = 32  # pixels of a picture per cell of a backbone's last map


def bilinear(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, size, size) float32 in [0, 255], by bilinear interpolation between
    half-pixel centres without antialiasing, as OpenCV's ``INTER_LINEAR`` (VSE-infinity)."""
    planes = torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]
    shape = (size, size)
    seen = interpolate(planes, shape, mode="bilinear", align_corners=False, antialias=False)
    return seen[0].numpy()


class Pixels:
    """``pixels[i]`` is image i's picture, decoded when asked and stretched to one size."""

    def __init__(
        self,
        folder: Path,
        image_ids: list[str],
        features: FeaturesConfig,
        reader: PictureReader | None = None,
    ):
        """Find every image's picture as :class:`PictureFolder` does, by ``id_mapping.json`` in the
        folder or beside it if there is one; read the first one, the others when they are asked for.
        A ``reader`` is of a family that reads pictures itself, and sees whole ones alone. Raises
        InputError: no such folder, an image without a picture or with several, or the first one
        cannot be decoded."""
        self.folder, self.features, self.reader = folder, features, reader
        self.change: Change | None = None
        candidates = (place / ID_MAPPING for place in (folder, folder.parent))
        mapping = next((path for path in candidates if path.is_file()), None)
        self.mapping = mapping
        pictures = PictureFolder(folder, mapping, or_names=True)
        self.paths = [self._path(pictures, image_id) for image_id in image_ids]
        # Cells of a side, once the backbone's map is pooled.
        self.side = features.grid_size or -(-features.image_size // STRIDE)
        self.side = 1 if reader is not None else self.side
        self[0]

    def _path(self, pictures: PictureFolder, image_id: str) -> Path:
        try:
            return pictures.find(image_id)
        except PictureError as error:
            raise InputError(f"{self.folder}: image {image_id}: {error}") from error

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s whole picture, (3, image_size, image_size) float32 RGB in [0, 255], or
        what the reader makes of it. Raises InputError: it cannot be decoded."""
        if self.reader is not None:
            return self.reader(self._decoded(image))
        return self.view(image, Window())

    def view(self, image: int, window: Window) -> np.ndarray:
        """What a window shows of image ``image``, in the shape of ``pixels[image]``."""
        size = self.features.image_size
        picture = self._decoded(image)
        width, height = picture.size
        left, right = _whole_pixels(window.left, window.right, width)
        top, bottom = _whole_pixels(window.top, window.bottom, height)
        seen = bilinear(np.asarray(picture)[top:bottom, left:right], size)
        return np.ascontiguousarray(seen[..., ::-1]) if window.mirrored else seen

    def changed(self, change: Change) -> "Pixels":
        """The same pictures with ``change`` made to each once it is decoded."""
        other = copy(self)
        other.change = change
        return other

    def _decoded(self, image: int) -> Image.Image:
        try:
            picture = decode(self.paths[image])
            return picture if self.change is None else self.change(picture)
        except PictureError as error:
            raise InputError(f"{self.paths[image]}: {error}") from error

    def fingerprint(self) -> str:
        """A checksum of all names and of a sample's content, to tell whether they have changed."""
        names = [path.name for path in self.paths]
        return text_sha256([*names, *(file_sha256(self.paths[i]) for i in sample(len(self)))])

    def augmentation(self, generator: np.random.Generator) -> tuple[Window, np.ndarray]:
        """A window, and which cells of its map are kept, (side, side) bool; for training."""
        settings = self.features
        window = sample_window(settings.crop, settings.flip, generator)
        rate = drop_rate(settings.drop_scheme, settings.drop, generator)
        return window, kept_rows(self.side**2, rate, generator).reshape(self.side, self.side)

    def describe(self) -> str:
        """Number of pictures, and what becomes of them."""
        size, side = self.features.image_size, self.side
        told = f"{len(self):,} pictures, read at "
        if self.reader is not None:
            told += self.reader.description
        else:
            told += f"{size} x {size} pixels, {side} x {side} cells"
        return told if self.mapping is None else f"{told}, by {self.mapping}"


def _whole_pixels(start: float, end: float, size: int) -> tuple[int, int]:
    """The pixels of a side between two shares of it, at least one."""
    first = min(round(start * size), size - 1)
    return first, max(round(end * size), first + 1)
