"""Drawings are files that say what they are of, and replace nothing else."""

import pytest
from PIL import Image

from lib.display.drawing import comment_in, require_format, require_replaceable, save
from lib.errors import InputError

DRAWN = Image.new("RGB", (30, 20), (200, 10, 10))


@pytest.mark.parametrize("name", ["d.png", "d.jpg", "d.JPEG", "d.pdf"])
def test_a_drawing_tells_what_it_is_of(tmp_path, name):
    path = tmp_path / name
    save(DRAWN, path, "retrieved é test")
    first = path.read_bytes()
    assert comment_in(path) == "retrieved é test"
    require_replaceable("retrieved é test", path)
    save(DRAWN, path, "retrieved é test")
    assert path.read_bytes() == first
    with pytest.raises(InputError, match="is there and is no drawing of b test"):
        require_replaceable("retrieved b test", path)


@pytest.mark.parametrize("content", [b"", b"mine", b"%PDF-1.4\n", b"%PDF-1.4\n1 0 obj\nendobj"])
@pytest.mark.parametrize("name", ["d.png", "d.pdf"])
def test_other_files_say_nothing(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert comment_in(path) is None
    assert path.read_bytes() == content


def test_other_names(tmp_path):
    with pytest.raises(InputError, match="expected a name that ends in"):
        require_format(tmp_path / "d.gif")
