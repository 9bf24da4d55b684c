"""The demo's two trainings at once: both are told, and one that fails ends the other."""

import pytest

from lib.demo import train_both


def test_a_failure_ends_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(
        "import sys, time\n"
        "print('started', sys.argv[2], flush=True)\n"
        "if 'grid' in sys.argv[2]: sys.exit('error: no data')\n"
        "time.sleep(300)\n"
    )
    monkeypatch.setattr(train_both, "default_workers", lambda most: 2)
    with pytest.raises(SystemExit, match=r"grid\.log: a run failed: error: no data"):
        train_both.main(["--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "region: started configs/scenes_region.yaml" in printed
    assert "grid: error: no data" in printed
    assert (tmp_path / "out" / "grid.log").read_text().startswith("started")


def test_both_get_their_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(
        "import os, sys\nprint(os.environ['OMP_NUM_THREADS'], sys.argv[4:])"
    )
    monkeypatch.setattr(train_both, "default_workers", lambda most: 8)
    train_both.main(["--data_path", "d", "--out", str(tmp_path / "out"), "train.epochs=2"])
    lines = sorted(capsys.readouterr().out.splitlines())
    for line, kind in zip(lines, ("grid", "region"), strict=True):
        assert line.startswith(f"{kind}: 4 ['data.root=d', 'model.bert=d/scenes_precomp/bert', ")
        assert f"/out/{kind}', 'train.epochs=" in line  # the demo's own schedule
        assert line.endswith("'train.epochs=2']")  # and then what was asked for
