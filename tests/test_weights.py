"""PyTorch files from elsewhere: tensors and plain values, and nothing that runs."""

import pytest
import torch

from lib.checkpoint import load_checkpoint
from lib.errors import InputError


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
def test_a_pickle_bomb_does_not_go_off(tmp_path, zipped):
    path = tmp_path / "model_best.pth"
    raw = {"model": [{}, {}], "opt": Bomb(tmp_path / "burst")}
    torch.save(raw, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"refused.*io\.open"):
        load_checkpoint(path)
    assert not (tmp_path / "burst").exists()


def test_a_web_page_is_no_checkpoint(tmp_path):
    (tmp_path / "c.pth").write_text("<!DOCTYPE html><html>Google Drive can't scan this file</html>")
    with pytest.raises(InputError, match=r"not a PyTorch file.*or a web page"):
        load_checkpoint(tmp_path / "c.pth")
