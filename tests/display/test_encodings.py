"""Encodings come back from their file as they were, vectors and sets alike."""

import pytest
import torch

from lib.display.encodings import kept
from lib.errors import InputError
from lib.evaluation.encode import Embeddings
from lib.models.lhsc.images import Regions
from lib.models.lhsc.sentences import Words


def vectors(count):
    return Embeddings(torch.randn(count or 3, 4), torch.randn(5 * (count or 3), 4))


def sets(count):
    n = count or 3
    images = Regions(torch.randn(n, 2, 4), torch.randn(n, 4))
    return Embeddings(images, Words(torch.randn(5 * n, 3, 4), torch.rand(5 * n, 3) > 0.5,
                                    torch.randn(5 * n, 4)))  # fmt: skip


@pytest.mark.parametrize("make", [vectors, sets])
def test_they_come_back(make, tmp_path):
    path, key = tmp_path / "deep" / "e.safetensors", {"checkpoint": "a"}
    made, was_there = kept(path, key, make)
    again, is_there = kept(path, key, make)
    assert (was_there, is_there) == (False, True)
    for one, other in ((made.images, again.images), (made.captions, again.captions)):
        assert type(one) is type(other)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other)
        else:
            assert all(torch.equal(getattr(one, f), getattr(other, f)) for f in vars(one))
    other, is_there = kept(path, {"checkpoint": "b"}, make)
    assert not is_there
    assert kept(path, {"checkpoint": "b"}, make)[1]


def test_a_file_of_another_program_stays(tmp_path):
    path = tmp_path / "e.safetensors"
    path.write_bytes(b"a user's")
    with pytest.raises(InputError, match="holds no encodings of a gallery"):
        kept(path, {}, vectors)
    assert path.read_bytes() == b"a user's"


def test_a_broken_model_s_file_is_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    kept(path, {}, lambda count: Embeddings(torch.full((3, 4), torch.nan), torch.randn(15, 4)))
    with pytest.raises(InputError, match="holds NaN"):
        kept(path, {}, vectors)
