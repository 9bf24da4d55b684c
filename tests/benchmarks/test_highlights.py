"""benchmarks/highlights.py: its gates and attention are the model's, and wrong input costs."""

import re

import pytest
import torch

from benchmarks import highlights
from lib.config import load_config
from lib.data.dataset import image_loader
from tests.support import ROOT, fit


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    words = [*settings, f"run.out={tmp_path_factory.mktemp('run')}", "train.epochs=1"]
    return fit(load_config(ROOT / "configs" / "scenes_region.yaml", words))


def test_gates_and_attention_are_those_of_the_forward_pass(trained):
    """The rest of both branches, computed from them, gives the branches' outputs."""
    encoder = trained.model.eval().image_encoder
    vsem, vspm = encoder.semantic, encoder.spatial
    (batch,) = image_loader(trained.dev_split, [range(4)], 0, False)
    with torch.inference_mode():
        projected = encoder.projection(batch.features)
        gate = highlights.agreement(vsem, projected, batch)[0]
        weights = highlights.attention(vspm, projected, batch)[0]
        _, semantic, spatial = encoder.branches(batch)
        regions = (projected + vsem.region_residual(projected))[0, : len(gate)]
        query = vsem.query_embedding(batch.arrays["semantic"].mean(dim=(2, 3)))
        query = query + vsem.query_residual(query)
        lit = gate[:, None] * regions
        mine = vsem.output(lit * torch.tanh(vsem.gate(lit)) + query[0]).relu()
        torch.testing.assert_close(mine, semantic[0, : len(mine)], rtol=1e-4, atol=1e-5)
        patches = torch.nn.functional.unfold(batch.arrays["seg_map"][:, None], 3, padding=1)
        labels, positions = vspm._affine(patches.transpose(1, 2))
        keys = (patches[0].T @ labels + positions).relu()
        mine = vspm.output(vspm.query(projected[0, : len(weights)]) + weights @ keys)
        torch.testing.assert_close(mine, spatial[0, : len(mine)], rtol=1e-3, atol=1e-4)


def test_it_prints_its_figures(trained, world, capsys):
    path = str(trained.run_dir.best)
    highlights.main([path, "--data_path", str(world), "--dataset", "scenes"])
    printed = capsys.readouterr().out
    assert re.search(r"VSeM's agreement: mean 0\.\d+, from", printed)
    assert re.search(r"entropy \d\.\d\d of 5\.55; two regions differ by", printed)
    assert printed.count("rSum with another picture's") == 4


def test_what_it_cannot_probe(config, world):
    run = fit(config("model.segmentation=false", "train.epochs=1"))
    with pytest.raises(SystemExit) as left:
        highlights.main([str(run.run_dir.best), "--data_path", str(world), "--dataset", "scenes"])
    assert "is no 3SHNet that reads segmentation" in left.value.code
