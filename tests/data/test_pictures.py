"""Pictures found by id and decoded, whatever they are; or the reason why not."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.data.pictures import MOST_PIXELS, PictureError, PictureFolder, decode
from lib.errors import InputError


def test_odd_pictures_become_rgb(tmp_path):
    def saved(picture, name, **options):
        picture.save(tmp_path / name, **options)
        return decode(tmp_path / name)

    grey = saved(Image.new("L", (5, 4), 77), "grey.png")
    assert (grey.mode, grey.getpixel((1, 1))) == ("RGB", (77, 77, 77))
    deep = saved(Image.fromarray(np.full((4, 5), 0x4D00, np.uint16)), "deep.png")
    assert deep.getpixel((1, 1)) == (77, 77, 77)
    dark = saved(Image.fromarray(np.full((4, 5), 200, np.uint16)), "dark.png")
    assert dark.getpixel((1, 1)) == (0, 0, 0)  # 200 of 65,535
    assert saved(Image.new("CMYK", (5, 4)), "cmyk.jpg").getpixel((1, 1)) == (255, 255, 255)
    clear = saved(Image.new("RGBA", (5, 4), (9, 9, 9, 0)), "clear.png")
    assert clear.getpixel((1, 1)) == (255, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert saved(Image.new("RGB", (30, 20)), "turned.jpg", exif=exif).size == (20, 30)
    assert saved(Image.new("RGB", (1, 1)), "dot.png").size == (1, 1)
    assert saved(Image.new("P", (5, 4)), "palette.png").mode == "RGB"


def test_pictures_that_cannot_be_used(tmp_path, monkeypatch):
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:900])
    (tmp_path / "page.jpg").write_text("<html>")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tiff")
    for name, reason in (
        ("cut.jpg", "cannot be decoded"),
        ("page.jpg", "not a picture that Pillow knows"),
        ("none.jpg", "no such file"),
        ("float.tiff", "floating-point"),
    ):
        with pytest.raises(PictureError, match=reason):
            decode(tmp_path / name)
    huge = Image.new("1", (20_000, 20_000))
    huge.save(tmp_path / "huge.png")
    assert MOST_PIXELS < 20_000 * 20_000
    with pytest.raises(PictureError, match=r"too large|more than"):
        decode(tmp_path / "huge.png")


def test_pictures_are_found_by_id(tmp_path):
    for name in ("COCO_val2014_000000000042.jpg", "000000000139.png", "abc.jpg", "7.jpeg", "7.png"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).touch()
    pictures = PictureFolder(tmp_path)
    assert pictures.find("42").name.startswith("COCO_val2014")
    assert pictures.find("139").name == pictures.find("000000000139").name == "000000000139.png"
    assert pictures.find("abc").name == "abc.jpg"
    with pytest.raises(PictureError, match="several pictures"):
        pictures.find("7")
    with pytest.raises(PictureError, match="no picture named 8, 000000000008, COCO"):
        pictures.find("8")
    mapping = tmp_path / "map.json"
    mapping.write_text(json.dumps({"x": "deep/abc.jpg"}))
    mapped = PictureFolder(tmp_path, mapping)
    assert mapped.find("x") == tmp_path / "deep" / "abc.jpg"
    with pytest.raises(PictureError, match="does not name it"):
        mapped.find("abc")
    mapping.write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        PictureFolder(tmp_path, mapping)
    with pytest.raises(InputError, match="no such folder"):
        PictureFolder(tmp_path / "none")


def test_a_picture_of_too_many_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.data.pictures.MOST_PIXELS", 99)
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match="10 x 10 pixels are more than 99; reduce it first"):
        decode(tmp_path / "a.png")
