"""The demo's two models at once: both are told, each is evaluated, and one that fails ends both."""

import signal

import pytest

from lib.demo import both

EVALUATION = "import sys\nprint('scored', *sys.argv[1:])"


def test_a_failure_ends_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(
        "import os, sys, time\n"
        "print('started', sys.argv[2], flush=True)\n"
        "if 'region' in sys.argv[2]: open('region_started', 'w')\n"
        "while not os.path.exists('region_started'): time.sleep(0.01)\n"
        "if 'grid' in sys.argv[2]: sys.exit('error: no data')\n"
        "time.sleep(300)\n"
    )
    (tmp_path / "eval.py").write_text(EVALUATION)
    monkeypatch.setattr(both, "default_workers", lambda most: 2)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match=r"grid\.log: a run failed: error: no data"):
        both.main(["--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "region: started configs/scenes_region.yaml" in printed
    assert "grid: error: no data" in printed
    assert (tmp_path / "out" / "grid.log").read_text().startswith("started")
    assert not list((tmp_path / "out").glob("*.evaluation.log"))
    assert signal.getsignal(signal.SIGTERM) is before  # whoever forks later would pass it on


@pytest.mark.parametrize("cores", [2, 8])
def test_both_get_their_settings(tmp_path, monkeypatch, capsys, cores):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(
        "import os, sys\nprint(os.environ['OMP_NUM_THREADS'], sys.argv[3:])"
    )
    (tmp_path / "eval.py").write_text(EVALUATION)
    monkeypatch.setattr(both, "default_workers", lambda most: cores)
    words = ["--data_path", "d", "--out", str(tmp_path / "out"), "train.sum_epochs=1"]
    both.main([*words, "--overwrite"] if cores == 8 else words)
    lines = sorted(capsys.readouterr().out.splitlines())
    for line, kind in zip(lines, ("grid", "region"), strict=True):
        assert line.startswith(
            f"{kind}: {cores // 2} ['{'--resume' if cores == 2 else '--overwrite'}', "
            "'data.root=d', 'model.bert=d/scenes_precomp/bert', "
        )
        assert f"/out/{kind}', 'train." in line  # the demo's own schedule
        assert ("'data.workers=0'" in line) == (cores == 2)  # it would take the training's core
        assert line.endswith("'train.sum_epochs=1']")  # and then what was asked for
        scored = (tmp_path / "out" / f"{kind}.evaluation.log").read_text()
        assert scored.startswith(f"scored --checkpoint {tmp_path}/out/{kind}/model_best.pth ")
        assert f"--save_embeddings {tmp_path}/out/{kind}/embeddings.safetensors" in scored
