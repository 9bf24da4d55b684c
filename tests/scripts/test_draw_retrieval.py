"""scripts/draw_retrieval.py: which picture is framed how, and sentences of one's own."""

import numpy as np
import pytest
from PIL import Image

import eval as eval_script
from scripts import draw_retrieval
from tests.display.conftest import shown_runs  # noqa: F401
from tests.support import fit, write_embeddings

GREEN, RED, GREY = draw_retrieval.RIGHT, draw_retrieval.WRONG, draw_retrieval.UNKNOWN


def counts(path):
    """How many pixels have the colours of right, wrong and unknown."""
    pixels = np.array(Image.open(path).convert("RGB")).reshape(-1, 3)
    return [(pixels == colour).all(axis=1).sum() for colour in (GREEN, RED, GREY)]


@pytest.fixture
def saved(tmp_path, world):
    data = world / "scenes_precomp"
    ids = (data / "test_ids.txt").read_text().split()
    images = np.eye(10, dtype=np.float32)
    captions = images.repeat(5, axis=0)
    captions[:5] = images[3]  # the first picture's sentences are mistaken for the fourth's
    write_embeddings(tmp_path / "e.safetensors", images, captions, ids)
    return ["--embeddings", str(tmp_path / "e.safetensors"), "--data", str(data)], tmp_path


def test_frames_say_what_is_right(saved, capsys):
    words, folder = saved
    draw_retrieval.main([*words, "--out", str(folder / "r.png"), "--queries", "10"])
    green, red, grey = counts(folder / "r.png")
    assert red > green > 1000  # of five results per query one is right at most
    assert grey == 0
    assert "r.png: drawn, 10 pictures" in capsys.readouterr().out
    before = (folder / "r.png").read_bytes()
    draw_retrieval.main([*words, "--out", str(folder / "r.png"), "--queries", "10"])
    assert (folder / "r.png").read_bytes() == before
    draw_retrieval.main([*words, "--out", str(folder / "r.jpg"), "--queries", "2"])
    draw_retrieval.main([*words, "--out", str(folder / "r.jpg"), "--queries", "1"])  # its own
    assert Image.open(folder / "r.jpg").format == "JPEG"
    draw_retrieval.main([*words, "--out", str(folder / "r.pdf"), "--queries", "2"])
    first = (folder / "r.pdf").read_bytes()
    assert first.startswith(b"%PDF-")
    draw_retrieval.main([*words, "--out", str(folder / "r.pdf"), "--queries", "2"])
    assert (folder / "r.pdf").read_bytes() == first


def test_pictures_keep_their_proportions(saved, tmp_path):
    words, _ = saved
    (tmp_path / "wide").mkdir()
    ids = [str(i) for i in range(1, 11)]
    for image_id in ids:
        Image.new("RGB", (400, 100), (10, 200, 250)).save(tmp_path / "wide" / f"{image_id}.png")
    write_embeddings(tmp_path / "w", np.eye(10, dtype=np.float32),
                     np.eye(10, dtype=np.float32).repeat(5, axis=0), ids)  # fmt: skip
    words = ["--embeddings", str(tmp_path / "w"), *words[2:], "--images", str(tmp_path / "wide")]
    draw_retrieval.main([*words, "--out", str(tmp_path / "w.png"), "--queries", "1"])
    pixels = np.array(Image.open(tmp_path / "w.png").convert("RGB"))
    blue = (pixels == (10, 200, 250)).all(axis=2)
    row = blue[np.flatnonzero(blue.any(axis=1))[0]]
    assert row.sum() == 5 * 160  # five of 160 x 40
    assert blue.sum() == 6 * 160 * 40  # and the one whose sentences are shown


def test_sentences_of_one_s_own(config, world, tmp_path):
    run = fit(config("train.epochs=1"))
    words = [
        "--checkpoint",
        str(run.run_dir.best),
        "--data_path",
        str(world),
        "--dataset",
        "scenes",
    ]
    eval_script.main(
        [*words, "--workers", "0", "--save_embeddings", str(tmp_path / "e.safetensors")]
    )
    about = [
        "--embeddings",
        str(tmp_path / "e.safetensors"),
        "--data",
        str(world / "scenes_precomp"),
    ]
    query = ["--query", "a red cup", "--checkpoint", str(run.run_dir.best)]
    out = ["--out", str(tmp_path / "q.png")]
    draw_retrieval.main([*about, *query, *out, "--queries", "0"])
    green, red, grey = counts(tmp_path / "q.png")
    assert green == red == 0
    assert grey > 1000
    query[-1] = str(run.run_dir.best.parent)  # a run's folder is enough
    draw_retrieval.main([*about, *query, "--out", str(tmp_path / "r.png"), "--queries", "0"])
    assert counts(tmp_path / "r.png") == [green, red, grey]


@pytest.mark.parametrize("number", [0, 1], ids=["vectors", "pairs"])
def test_a_run_of_any_family_is_drawn(shown_runs, world, tmp_path, number):  # noqa: F811
    """With the frames that the embeddings' drawing has, where there are embeddings."""
    run = shown_runs[number]
    words = ["--run", str(run), "--keep", str(tmp_path / "keep"), "--device", "cpu"]
    words += ["--query", "a red cup", "--queries", "4"]
    draw_retrieval.main([*words, "--out", str(tmp_path / "r.png")])
    green, red, grey = counts(tmp_path / "r.png")
    assert green > 0
    assert red > 0
    assert grey > 1000
    if number == 0:
        data = ["--data_path", str(world), "--dataset", "scenes", "--workers", "0"]
        best = ["--checkpoint", str(run / "model_best.pth")]
        eval_script.main([*best, *data, "--save_embeddings", str(tmp_path / "e.safetensors")])
        words = [
            "--embeddings",
            str(tmp_path / "e.safetensors"),
            "--data",
            str(world / "scenes_precomp"),
        ]
        words += [*best, "--query", "a red cup", "--queries", "4"]
        draw_retrieval.main([*words, "--out", str(tmp_path / "e.png")])
        one, other = (np.array(Image.open(tmp_path / n)) for n in ("r.png", "e.png"))
        assert (one == other).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "r.gif"), "r.gif: expected a name that ends in .png, .jpg, .jpeg, .pdf"),
        (("--out", "r.png", "--split", "train"), "captions, expected 50"),
        (("--out", "r.png", "--images", "none"), "none: no such folder of pictures"),
        (("--out", "there.png"), "is there and is no drawing of"),
        (("--out", "there.pdf"), "is there and is no drawing of"),
    ],
)
def test_what_is_refused(saved, words, message, monkeypatch):
    about, folder = saved
    monkeypatch.chdir(folder)
    for name in ("there.png", "there.pdf"):
        (folder / name).write_bytes(b"mine")
    with pytest.raises(SystemExit) as left:
        draw_retrieval.main([*about, *words])
    assert message in left.value.code
    assert (folder / "there.png").read_bytes() == b"mine"
    assert not (folder / "r.png").exists()
