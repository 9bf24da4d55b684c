"""The demo's BERT: small, random, and the same each time."""

import pytest

from lib.demo.small_bert import write_small_bert
from lib.errors import InputError
from lib.models.common.bert import BertTokenizer
from tests.support import fail, succeed


def test_a_small_bert_is_reproducible(tmp_path):
    (tmp_path / "caps.txt").write_text("a dog on the grass\ntwo dogs and a cat\n" * 20)
    for name in ("one", "two"):
        write_small_bert(tmp_path / name, tmp_path / "caps.txt", hidden=32, layers=1)
    for file in ("vocab.txt", "config.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.slow
def test_the_command(tmp_path):
    (tmp_path / "caps.txt").write_text("a dog on the grass\n")
    command = ("python", "-m", "lib.demo.small_bert", "--captions", tmp_path / "caps.txt", "--out",
               tmp_path / "bert", "--hidden", 32, "--layers", 1)  # fmt: skip
    assert "bert: a BERT of 1 layers, width 32, random weights" in succeed(*command)
    assert BertTokenizer(str(tmp_path / "bert")).encode(["a dog"])[0]
    error = fail(*command)
    assert "cannot be written" in error
    assert "is it there already" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bert", "caps.txt"]


def test_captions_of_no_word_are_refused(tmp_path):
    (tmp_path / "caps.txt").write_text("\n \n")
    with pytest.raises(InputError, match="holds no caption"):
        write_small_bert(tmp_path / "bert", tmp_path / "caps.txt")
