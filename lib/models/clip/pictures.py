"""Pictures as a hub model's own ``preprocessor_config.json`` asks for them."""

from pathlib import Path

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

from lib.errors import InputError, first_line
from lib.models.clip.model import read_config
from lib.models.common.hub import refuse_code
from lib.models.family import PictureReader


class Preprocessor(PictureReader):
    """transformers' image processor of a folder."""

    def __init__(self, folder: Path):
        """Load it. Raises InputError: it is missing or damaged."""
        try:
            refuse_code(str(folder))
            self._process = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
            shapes = {self(Image.new("RGB", size)).shape for size in ((64, 48), (48, 64))}
            side = read_config(folder).vision_config.image_size
            height, width = side if isinstance(side, (tuple, list)) else (side, side)
            if shapes != {(3, height, width)}:
                raise ValueError(
                    f"it makes {' and '.join(map(str, sorted(shapes)))} of a picture, the model "
                    f"takes {(3, height, width)}"
                )
        except InputError:
            raise
        except Exception as error:  # a damaged file fails in ways that transformers does not list
            raise InputError(
                f"{folder}: its preprocessor_config.json cannot be used ({first_line(error)})"
            ) from error
        self.description = f"{width} x {height} pixels, as the model's own preprocessing makes them"

    def __call__(self, picture: Image.Image) -> np.ndarray:
        """8-bit RGB of any size -> (3, S, S) float32, normalised."""
        found = self._process(images=picture, return_tensors="np")["pixel_values"][0]
        return np.ascontiguousarray(found, np.float32)
