"""A split encoded: in its order, float32, whatever the batches and the ranks."""

import numpy as np
import pytest
import torch

from lib.batch import TextBatch
from lib.data.captions import tokenise
from lib.data.split import open_split
from lib.evaluation import encode, products
from lib.evaluation.encode import Embeddings, encode_split
from lib.models.common.retrieval_model import RetrievalModel
from lib.training.loop import Run
from tests.support import tokenizer_of


@pytest.fixture
def parts(config):
    settings = config()
    split = open_split(settings, "test")
    model = Run(settings, False, False).model
    return model, split, tokenise(split.captions, tokenizer_of(settings))


def test_embeddings_stand_in_the_split_s_order(parts):
    model, split, captions = parts
    model.train()
    found = encode_split(model, split, captions, batch_size=3, workers=0)
    assert model.training  # as it was
    model.eval()
    for caption in (0, 13, 49):
        ids = torch.from_numpy(captions.ids(caption))[None]
        alone = TextBatch(ids, torch.tensor([ids.shape[1]]), torch.tensor([caption]))
        with torch.inference_mode():
            torch.testing.assert_close(
                model.encode_texts(alone)[0], found.captions[caption], atol=1e-6, rtol=0
            )
    fewer = encode_split(model, split, captions, batch_size=4, workers=0, images=6)
    assert (len(fewer.images), len(fewer.captions)) == (6, 30)
    torch.testing.assert_close(fewer.images, found.images[:6], atol=1e-6, rtol=0)
    half = encode_split(model, split, captions, 3, 0, precision="bf16")
    assert half.images.dtype == half.captions.dtype == torch.float32
    assert not torch.equal(half.images, found.images)


def test_equal_sentences_tie(parts, config):
    """Though they would be encoded in batches of other lengths, beside others."""
    model, split, _ = parts
    texts = [f"a {'very ' * (i % 7)}red clock" for i in range(50)]
    captions = tokenise(texts, tokenizer_of(config()))
    found = encode_split(model, split, captions, batch_size=3, workers=0).captions
    for i, text in enumerate(texts):
        assert torch.equal(found[i], found[texts.index(text)])
    assert len(found.unique(dim=0)) == 7


class Products(RetrievalModel):
    """Scores vectors; counts how many images it gets at once."""

    def __init__(self, pairwise=False):
        super().__init__()
        self.weight, self.rows = torch.nn.Parameter(torch.ones(1)), []
        self.pairwise = pairwise

    def score(self, images, texts):
        self.rows.append(len(images))
        return images @ texts.T


def vectors():
    generator = torch.Generator().manual_seed(0)
    return Embeddings(*(torch.randn(n, 4, generator=generator) for n in (7, 35)))


def test_products_are_taken_in_blocks(monkeypatch):
    monkeypatch.setattr(products, "BLOCK", (3, 10))
    model, encoded = Products(), vectors()
    guarded = []
    found = encoded.scores(model, guard=lambda work: guarded.append(1) or work)
    assert len(guarded) == 3 * 4
    np.testing.assert_allclose(found, (encoded.images @ encoded.captions.T).numpy(), atol=1e-6)


def test_ranks_share_the_pairs(monkeypatch):
    """Two ranks, one after the other; what they exchange is kept."""
    monkeypatch.setattr(encode, "PAIR_ROWS", 2)
    monkeypatch.setattr(encode, "PAIR_COLUMNS", 10)
    monkeypatch.setattr(encode, "world_size", lambda: 2)
    encoded, exchanged = vectors(), []

    class Enough(Exception):
        pass

    def gather(own):
        exchanged.append(own)
        if len(exchanged) == 1:
            raise Enough
        return [exchanged[1], exchanged[0]]

    monkeypatch.setattr(encode, "all_gather_object", gather)
    monkeypatch.setattr(encode, "rank", lambda: 1)
    with pytest.raises(Enough):
        encoded.scores(Products(pairwise=True))
    monkeypatch.setattr(encode, "rank", lambda: 0)
    model = Products(pairwise=True)
    found = encoded.scores(model)
    assert len(model.rows) == 8  # of 4 x 4 chunks
    np.testing.assert_allclose(found, (encoded.images @ encoded.captions.T).numpy(), atol=1e-6)
