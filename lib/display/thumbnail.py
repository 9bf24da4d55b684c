"""Small pictures inside a page that needs no other file."""

import base64
import io

from PIL import Image

SIDE = 220  # pixels of the longer side


def reduced(picture: Image.Image) -> Image.Image:
    """An RGB picture at no more than SIDE pixels a side."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def data_address(picture: Image.Image) -> str:
    """An RGB picture as a ``data:`` address, a JPEG."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
