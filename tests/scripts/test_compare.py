"""scripts/compare.py on saved scores."""

import numpy as np
import pytest

from lib.evaluation.intervals import hits, paired
from lib.evaluation.metrics import ranks
from lib.evaluation.scores import SavedScores, save_embeddings, save_results
from scripts import compare
from tests.evaluation.shards import some, write_shards
from tests.support import write_scores


def hits_of(path):
    scores = SavedScores(path)[:]
    return hits(*ranks(scores, np.arange(scores.shape[1]) // 5))


def test_figures_difference_and_verdict(tmp_path, capsys):
    good, bad = (
        write_scores(tmp_path / f"{i}.safetensors", noise=noise, n=40)
        for i, noise in (("a", 0), ("b", 4))
    )
    compare.main([str(good), str(bad), "--resamples", "500", "--seed", "3", "--ci", "90"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines()[3:])) <= 100
    found = paired(hits_of(good), hits_of(bad), 90, 500, 3)
    lines = {line.strip().split("  ")[0]: line.split() for line in printed.splitlines()}
    assert lines["1"][-1] == f"{hits_of(good).mean(axis=0)[-1]:.1f}"
    assert lines["1 less 2"][-1] == f"{found.mean[-1]:+.1f}"
    assert lines["90% interval, from"][-1] == f"{found.interval.low[-1]:+.1f}"
    assert lines["90% interval, to"][-1] == f"{found.interval.high[-1]:+.1f}"
    p = "<0.001" if found.p[-1] < 1e-3 else f"{found.p[-1]:.3f}"
    assert lines["p of the paired test"][-1] == p
    assert "40 images of f30k; 500 draws, seed 3" in printed
    assert printed.count("\n1:") + printed.startswith("1:") == 1


def test_coco_has_both_protocols(tmp_path, capsys):
    files = [
        write_scores(tmp_path / f"{i}.safetensors", i, "coco", "testall", n=20) for i in (0, 1)
    ]
    compare.main([*map(str, files), "--resamples", "100"])
    printed = capsys.readouterr().out
    assert "testall, mean of 5 folds of 4" in printed and "testall, all 20 images" in printed


def test_embeddings_are_compared_as_their_scores(tmp_path, capsys):
    images, captions, ids = some(20)
    shards = write_shards(tmp_path / "e", images, ids, captions)
    sides = [np.asarray(side[:], np.float32) for side in (shards.images, shards.captions)]
    about = (shards.image_ids, shards.dataset, shards.split, shards.origin)
    save_results(tmp_path / "s.safetensors", sides[0] @ sides[1].T, *about)
    save_embeddings(tmp_path / "e.safetensors", *sides, *about)
    write_scores(tmp_path / "o.safetensors", dataset="scenes", n=20, ids=ids)
    write_shards(tmp_path / "o", -images, ids, captions)
    for other in ("o.safetensors", "o"):
        told = []
        for one in ("s.safetensors", "e.safetensors", "e"):
            compare.main([*map(str, (tmp_path / one, tmp_path / other)), "--resamples", "100"])
            told.append(capsys.readouterr().out.replace(str(tmp_path / one), "one"))
        assert told[0] == told[1] == told[2]


def test_what_cannot_be_compared(tmp_path, capsys):
    one, other = (
        write_scores(tmp_path / f"{name}.safetensors", dataset=name) for name in ("f30k", "f8k")
    )
    with pytest.raises(SystemExit, match="different datasets"):
        compare.main([str(one), str(other)])
    with pytest.raises(SystemExit, match="is named twice"):
        compare.main([str(one), str(one)])
    with pytest.raises(SystemExit, match="is a folder without embeddings; expected a file of"):
        compare.main([str(one), str(tmp_path)])
    for words in (["--ci", "100"], ["--resamples", "3"], ["--seed", "-1"]):
        with pytest.raises(SystemExit):
            compare.main([str(one), str(other), *words])
        assert "usage:" in capsys.readouterr().err
