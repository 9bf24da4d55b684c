"""The thirty recalls of 3SHNet's re-run beside those of a stand-in for the released files."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation.metrics import DirectionMetrics, RetrievalMetrics, mean_metrics
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.published import released_folds
from lib.evaluation.records import Origin, single_record, write_record
from scripts import compare_folds
from tests.support import SMALL_BERT, bert_config, fail, released_checkpoint, run


def record(path, off=0.0, images=1000, dataset="coco"):
    """As a model has it whose first recall is ``off`` by so many points."""
    folds = [
        RetrievalMetrics(DirectionMetrics(*i2t, 1, 2), DirectionMetrics(*t2i, 1, 2))
        for i2t, t2i in released_folds()
    ]
    first = folds[0].i2t
    moved = DirectionMetrics(first.r1 + off, first.r5, first.r10, 1, 2)
    folds[0] = RetrievalMetrics(moved, folds[0].t2i)
    results = [ProtocolResult("testall", images, mean_metrics(folds), folds)]
    write_record(path, single_record(Origin("m.pth"), dataset, "testall", results))


def compare(path, capsys):
    """The exit status, or error, and what is printed."""
    with pytest.raises(SystemExit) as left:
        compare_folds.main([str(path)])
    return left.value.code, capsys.readouterr().out


def test_figures_pass_or_fail_each(tmp_path, capsys):
    path = tmp_path / "r.json"
    record(path)
    status, printed = compare(path, capsys)
    assert status == 0
    assert printed.count("  pass\n") == 30
    assert "30 of 30 figures are within 0.15 points" in printed
    record(path, off=0.14)
    assert compare(path, capsys)[0] == 0
    record(path, off=-0.16)
    status, printed = compare(path, capsys)
    assert status == 1
    assert "1     i2t R@1        84.5   84.34  fail\n" in printed
    assert "29 of 30 figures" in printed
    record(path, images=200)
    error, _ = compare(path, capsys)
    assert "holds folds of 200, expected COCO's five folds of 1,000 images" in error
    path.write_text("{}")
    assert "holds no results" in compare(path, capsys)[0]
    assert "give the checkpoint" in fail("sh", "scripts/verify_release.sh")


@pytest.mark.slow
def test_a_stand_in_is_scored_and_fails(tmp_path):
    """A released file of random weights on 5,000 random images of the real layout."""
    folder = tmp_path / "coco_precomp"
    folder.mkdir()
    generator = np.random.default_rng(0)
    count, kinds = 5000, 133
    np.save(folder / "testall_ims.npy", generator.random((count, 2, 2048), np.float32))
    shares = generator.random((1, kinds, 7, 7), np.float32).repeat(count, axis=0)
    np.save(folder / "testall_segmentations.npy", shares)
    np.save(folder / "testall_seg_maps.npy", np.zeros((count, 64, 64), np.float32))
    np.save(folder / "testall_cat_onehots.npy", np.ones((count, kinds), np.float32))
    (folder / "testall_caps.txt").write_text("".join(f"a dog {i}\n" for i in range(5 * count)))
    (folder / "testall_ids.txt").write_text("".join(f"{i}\n" for i in range(count)))
    released = tmp_path / "model_best.pth"
    torch.save(released_checkpoint(bert_config(**SMALL_BERT)), released)
    bert = tmp_path / "bert"
    bert_config(**SMALL_BERT).save_pretrained(bert)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog"]
    (bert / "vocab.txt").write_text("\n".join([*words, *map(str, range(200 - len(words)))]) + "\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PATH": path, "DATA_PATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = ("sh", "scripts/verify_release.sh", released, "--bert", bert, "--workers", "0")
    done = run(*command, env=env, timeout=900)
    assert done.returncode == 1, done.stderr
    assert "mean of 5 folds of 1,000" in done.stdout
    assert done.stdout.count("  fail\n") == 30
    assert "0 of 30 figures are within 0.15 points" in done.stdout
