"""scripts/draw_highlights.py: a row of maps for each picture, of every family."""

import numpy as np
import pytest
from PIL import Image

from scripts import draw_highlights
from tests.display.conftest import galleries, pictures, shown_runs  # noqa: F401


@pytest.mark.parametrize("number", [0, 1], ids=["vectors", "pairs"])
def test_the_panels_are_the_model_s_maps(galleries, pictures, number):  # noqa: F811
    gallery = galleries[number]
    picture = pictures.read(gallery.split.image_ids[3])
    shown = gallery.explain(3, gallery.split.captions[15], picture.size)
    panels = dict(draw_highlights.panels_of(shown, picture))
    ours = ["VSeM: agreement", "GPO: share", "score: what it adds"]
    cells = [f"{name}, segmentation cells" for name in ours[1:]]
    theirs = ["global pooling: share", "words to regions, mean of the words"]
    expected = ["picture", *(theirs if number else (*ours, *cells))]
    names = list(panels)
    assert names[: len(expected)] == expected
    assert len(names) == len(expected) + 1 - number
    plain = np.array(picture)
    for name, drawn in panels.items():
        assert (np.array(drawn) != plain).any() == (name != "picture")


def test_a_cell_s_heat_is_where_the_cell_is():
    values = np.zeros((7, 7))
    values[2, 5] = 1
    heat = draw_highlights._stretched(values, (70, 140), smooth=False)
    assert heat.shape == (140, 70)
    assert (heat[40:60, 50:60] == 1).all()
    assert heat.sum() == 20 * 10


def test_the_sheet(shown_runs, world, tmp_path, capsys):  # noqa: F811
    run, out = str(shown_runs[0]), tmp_path / "h.png"
    words = ["--run", run, "--keep", str(tmp_path / "keep"), "--device", "cpu", "--out", str(out)]
    draw_highlights.main([*words, "--count", "3"])
    assert "h.png: drawn, 3 pictures" in capsys.readouterr().out
    height = Image.open(out).size[1]
    draw_highlights.main([*words, "--count", "1"])  # its own may be replaced
    assert Image.open(out).size[1] < height / 2
    image_id = (world / "scenes_precomp" / "test_ids.txt").read_text().split()[2]
    draw_highlights.main([*words, "--picture", image_id, "--sentence", "a red cup"])
    with pytest.raises(SystemExit) as left:
        draw_highlights.main([*words, "--picture", "none"])
    assert "--picture none: is no id of scenes test, such as" in left.value.code
    width = Image.open(out).size[0]
    draw_highlights.main([*words, "--maps", "VSeM", "score: what it adds", "--count", "1"])
    assert Image.open(out).size[0] == (width - 12) * 3 // 7 + 12  # the picture and two maps of six
    with pytest.raises(SystemExit) as left:
        draw_highlights.main([*words, "--maps", "VSeM", "none"])
    assert "--maps none: there is no such map; there are VSeM: agreement" in left.value.code
    out.write_bytes(b"mine")
    with pytest.raises(SystemExit) as left:
        draw_highlights.main(words)
    assert f"is there and is no drawing of {run} test" in left.value.code
    assert out.read_bytes() == b"mine"
    with pytest.raises(SystemExit):
        draw_highlights.main([*words, "--sentence", "without a picture"])
