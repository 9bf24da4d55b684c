"""scripts/search.py on what eval.py saves."""

import base64
import io
import json
import re
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import eval as eval_script
from lib.config import load_config
from lib.data.captions import read_captions
from lib.errors import InputError
from lib.evaluation.records import ORIGIN
from lib.evaluation.scores import SavedScores, read_embeddings, read_metadata, save_embeddings
from lib.evaluation.vectors import How, Vectors, brute_force, top
from lib.training.loop import Run
from scripts import search
from tests.support import ROOT, succeed, write_embeddings


@pytest.fixture(scope="module")
def saved(settings, world, tmp_path_factory):
    """A checkpoint, its embeddings, and the scores that eval.py made of them."""
    out = tmp_path_factory.mktemp("search") / "run"
    overrides = [*settings, f"run.out={out}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_region.yaml", overrides), False, False).fit(["test"])
    words = ["--checkpoint", out / "model_best.pth", "--data_path", world, "--dataset", "scenes"]
    words += ["--workers", "0", "--device", "cpu", "--save_embeddings", out / "e.safetensors"]
    words += ["--save_results", out / "r.safetensors"]
    eval_script.main([str(word) for word in words])
    return out


def command(saved, *flags):
    files = ("--checkpoint", saved / "model_best.pth", "--embeddings", saved / "e.safetensors")
    return [str(word) for word in (*files, "--device", "cpu", *flags)]


def refusal(*words):
    with pytest.raises(SystemExit) as left:
        search.main([str(word) for word in words])
    return left.value.code


def test_a_caption_finds_what_evaluation_finds(saved, world, capsys):
    captions = read_captions(world / "scenes_precomp" / "test_caps.txt")
    results = SavedScores(saved / "r.safetensors")
    scores, ids = results[:], results.image_ids
    queries = [7, 33, 2]  # of different lengths: they are batched by length, and come back in order
    search.main(command(saved, "-k", "4", "--query", *(captions[i] for i in queries)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 5
    for position, query in enumerate(queries):
        title, *rows = lines[5 * position : 5 * position + 5]
        assert title == captions[query]
        order = np.argsort(-scores[:, query], kind="stable")[:4]
        assert [row.split()[2] for row in rows] == [ids[i] for i in order]
        assert [float(row.split()[1]) for row in rows] == pytest.approx(
            scores[order, query].tolist(), abs=6e-4
        )


def test_several_files_are_one_gallery(saved, tmp_path, capsys):
    images, captions, ids = read_embeddings(saved / "e.safetensors")
    captions = captions.reshape(len(ids), 5, -1)
    for name, part in (("a", slice(6, None)), ("b", slice(6))):
        texts = captions[part].reshape(-1, captions.shape[-1])
        write_embeddings(tmp_path / f"{name}.safetensors", images[part], texts, ids[part])
    query = ["--device", "cpu", "-k", "10", "--query", "x"]
    both = ["--embeddings", str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]
    search.main(["--checkpoint", str(saved / "model_best.pth"), *both, *query])
    found = capsys.readouterr().out
    search.main(command(saved, *query[2:]))
    assert found == capsys.readouterr().out


def test_the_command(saved):
    words = command(saved, "--query", "a red kite over the sea")
    printed = succeed("python", "scripts/search.py", *words)
    assert printed.startswith("a red kite over the sea\n   1  ")
    assert len(printed.splitlines()) == 11  # ten pictures are all there are


def test_a_run_s_folder_is_enough(saved, world, tmp_path, capsys):
    """Its embeddings lie beside its checkpoint, and its data tell the files of the pictures."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model_best.pth", "config.yaml"):
        shutil.copy(saved / name, run)
    words = ["--checkpoint", str(run), "--device", "cpu", "-k", "3", "--query", "a red dog"]
    told = refusal("--checkpoint", tmp_path / "none", *words[2:])
    assert (
        told
        == f"error: {tmp_path / 'none'}: no such checkpoint; expected a run's folder, a file, or hf://NAME"
    )
    told = refusal(*words)
    assert f"{run}/embeddings.safetensors: no such file; python eval.py --checkpoint {run}" in told
    shutil.copy(saved / "e.safetensors", run / "embeddings.safetensors")
    search.main(words)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    images = world / "scenes_precomp" / "images"
    assert [row[3] for row in rows] == [str(images / f"{row[2]}.png") for row in rows]
    # A folder of several files, and pictures that are named, but not there.
    (run / "embeddings").mkdir()
    (run / "embeddings.safetensors").rename(run / "embeddings" / "test.safetensors")
    names = {row[2]: f"name of {row[2]}.jpg" for row in rows[1:]}
    (tmp_path / "names.json").write_text(json.dumps(names))
    search.main([*words, "--data_path", str(tmp_path), "--mapping", str(tmp_path / "names.json")])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].endswith(rows[0][2])
    assert [re.split(r"\s{2,}", line)[-1] for line in lines[1:]] == [
        f"name of {row[2]}.jpg" for row in rows[1:]
    ]
    assert "no such folder of pictures" in refusal(*words, "--images", tmp_path / "none")


def test_a_page_shows_what_is_found(saved, world, tmp_path, capsys):
    page = tmp_path / "found.html"
    words = command(saved, "-k", "3", "--html", page, "--query", "a red dog", '<b>&"dogs"')
    search.main(words)
    assert f"{page}: the pictures" in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert html.count('<img src="data:image/jpeg;base64,') == 6
    assert "&lt;b&gt;&amp;&#34;dogs&#34;" in html and "<b>&" not in html
    assert not re.search(r"(src|href)=.http", html)
    first = re.search(r"base64,([^\"]+)", html)[1]
    with Image.open(io.BytesIO(base64.b64decode(first))) as picture:
        assert max(picture.size) <= 220
    search.main(words)  # an earlier page may be replaced, and nothing else
    page.write_text("notes on image-sentence search, mine")
    assert "is no page of a search" in refusal(*words)
    assert page.read_text() == "notes on image-sentence search, mine"
    page.unlink()
    search.main([*words, "--images", str(tmp_path)])  # a folder without these pictures
    assert page.read_text(encoding="utf-8").count("no picture") == 6
    assert "note: none of them could be shown; --images FOLDER" in capsys.readouterr().err


def test_equal_scores_keep_their_order():
    assert top(np.array([0.5, 0.9, 0.5, 0.9, 0.1]), 4).tolist() == [1, 3, 0, 2]


def test_embeddings_that_do_not_suit(saved, tmp_path):
    query = ("--device", "cpu", "--query", "x")
    files = ("--checkpoint", saved / "model_best.pth", "--embeddings")
    assert "no such file" in refusal(*files, tmp_path / "none.safetensors", *query)
    assert "holds no embeddings" in refusal(*files, saved / "r.safetensors", *query)
    wide = np.zeros((2, 7), np.float32), np.zeros((10, 7), np.float32)
    write_embeddings(tmp_path / "wide.safetensors", *wide, ["1", "2"])
    assert "width 7, " in refusal(*files, tmp_path / "wide.safetensors", *query)
    write_embeddings(tmp_path / "odd.safetensors", *wide, ["1"])
    assert "holds no embeddings" in refusal(*files, tmp_path / "odd.safetensors", *query)
    about = read_metadata(saved / "e.safetensors")
    assert about["origin"]["seed"] == 0
    origin = ORIGIN.validate_python(about["origin"] | {"seed": 1})
    vectors = read_embeddings(saved / "e.safetensors")
    save_embeddings(tmp_path / "other.safetensors", *vectors, "scenes", "test", origin)
    told = refusal(*files, tmp_path / "other.safetensors", *query)
    assert "(3SHNet region of seed 1, trained on scenes), not of " in told
    half = np.zeros((1, 32), np.float16), np.zeros((5, 32), np.float16)
    write_embeddings(tmp_path / "half.safetensors", *half, ["1"])
    assert "half.safetensors: holds" in refusal(*files, tmp_path / "half.safetensors", *query)
    nan = np.full((1, 32), np.nan, np.float32), np.zeros((5, 32), np.float32)
    with pytest.raises(InputError, match="images are NaN or infinite"):
        write_embeddings(tmp_path / "nan.safetensors", *nan, ["1"])
    told = refusal(*command(saved, "--query", "x", "--probes", "8", "--candidates", "9"))
    assert "--probes and --candidates: " in told
    assert "no index at " in told and "e.safetensors; scripts/build_index.py makes one" in told
    nothing = ("--exact", "--probes", "8", "--query", "x")
    for words in (("-k", "0", "--query", "x"), ("--query", " "), nothing):
        assert refusal(*command(saved, *words)) == 2  # with the usage


def test_how_an_index_is_searched(saved, monkeypatch, capsys):
    """One of two files has an index, which is enough for its options."""
    hows = []

    class Indexed(Vectors):
        def __init__(self, path, how):
            super().__init__(path, how)
            hows.append(how)
            if path.name == "e.safetensors":
                self.index = SimpleNamespace(search=partial(brute_force, self.images))

    monkeypatch.setattr(search, "Vectors", Indexed)
    shutil.copy(saved / "e.safetensors", saved / "f.safetensors")
    files = ("--embeddings", saved / "f.safetensors", saved / "e.safetensors", "--query", "x")
    search.main(command(saved, *files, "--probes", "8", "--candidates", "9"))
    search.main(command(saved, *files, "--exact"))
    search.main(command(saved, *files))
    assert hows[::2] == hows[1::2] == [How(False, 8, 9), How(True), How()]
    capsys.readouterr()


def test_a_family_that_scores_pairs_has_no_vectors(cmsei_settings, tmp_path):
    words = [*cmsei_settings, f"run.out={tmp_path}", "train.epochs=1"]
    run = Run(load_config(ROOT / "configs/scenes_cmsei.yaml", words), False, False)
    run.fit(["test"])
    write_embeddings(tmp_path / "e.safetensors", np.ones((1, 32), np.float32),
                    np.ones((5, 32), np.float32), ["1"])  # fmt: skip
    error = refusal("--checkpoint", tmp_path / "model_best.pth", "--embeddings",
                    tmp_path / "e.safetensors", "--device", "cpu", "--query", "a dog")  # fmt: skip
    assert "scores pairs, and has no vectors to search among" in error
    error = refusal("--checkpoint", tmp_path, "--device", "cpu", "--query", "a dog")
    assert "scores pairs, and has no vectors to search among" in error


def test_a_query_of_other_bytes_is_refused(saved):
    error = refusal(*command(saved, "--query", "caf\udce9"))
    assert "is not UTF-8 text" in error
