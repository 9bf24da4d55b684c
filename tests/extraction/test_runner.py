"""What the extractors share: a picture that a model fails on does not stop the others."""

import numpy as np
import torch

from lib.data.provenance import Provenance
from lib.extraction.array_output import ArrayOutput
from lib.extraction.runner import Job, run


def test_a_model_that_fails_on_some_pictures(tmp_path):
    sizes = {"a": 3, "b": 3, "c": 5, "d": 3, "e": 3}
    batches = []

    def extract(batch):
        batches.append(len(batch))
        if batch.shape[1] == 5:
            raise ValueError("five is odd\nand so on")
        if (batch == 7).any():
            raise RuntimeError("CUDA out of memory")
        return [{"sum": one.sum().numpy()} for one in batch]

    values = {"a": 1.0, "b": 7.0, "c": 1.0, "d": 1.0, "e": 1.0}

    def load(image_id):
        return torch.full((sizes[image_id],), values[image_id])

    ids = list(sizes)
    shapes = {"sum": ((), "float32")}
    manifest = Provenance("x", "y", None, {})

    def go():
        output = ArrayOutput(tmp_path, "train", ids, shapes, manifest)
        return output, run(Job(tmp_path, "x", 4), "train", ids, load, extract, output)

    output, failed = go()
    assert dict(failed) == {
        "b": "the model failed on its 3 values (RuntimeError: CUDA out of memory)",
        "c": "the model failed on its 5 values (ValueError: five is odd)",
    }
    assert batches[:4] == [3, 1, 1, 1]  # a, b and d together, then one by one
    assert output.pending() == [1, 2]
    assert not (tmp_path / "train_sum.npy").exists()
    sizes["c"], values["b"] = 3, 1.0  # mended
    output, failed = go()
    assert failed == []
    np.testing.assert_array_equal(np.load(tmp_path / "train_sum.npy"), [3] * 5)
