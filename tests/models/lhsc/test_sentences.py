"""Captions alone and together: what padding does, and what it does not."""

import torch
from torch.nn.functional import pad
from transformers import BertConfig, BertModel

from lib.batch import TextBatch
from lib.models.lhsc.config import Config
from lib.models.lhsc.model import LHSC
from tests.models.lhsc.small import LENGTHS, REGIONS, WIDTH, batches, build


def alone(texts, i):
    return TextBatch(
        texts.ids[i : i + 1, : LENGTHS[i]], texts.lengths[i : i + 1], texts.indices[:1]
    )


def deviations(model, texts):
    """Of each caption, encoded together, from itself alone."""
    together = model.encode_texts(texts)
    found = []
    for i, length in enumerate(LENGTHS):
        one = model.encode_texts(alone(texts, i))
        found.append((together.rows[i, :length] - one.rows[0]).abs().max().item())
        assert not together.rows[i, length:].any()
    return found


def test_padding_counts_where_it_is_the_release_s():
    _, texts = batches()
    assert max(deviations(build(), texts)) < 1e-6
    found = deviations(build(padding="released"), texts)
    longest = LENGTHS.index(max(LENGTHS))
    assert found.pop(longest) < 1e-6
    assert min(found) > 1e-4


def test_one_caption_a_batch_is_the_same_with_both():
    _, texts = batches()
    ours, theirs = build(), build(padding="released")
    for i in range(len(LENGTHS)):
        one, other = (model.encode_texts(alone(texts, i)) for model in (ours, theirs))
        torch.testing.assert_close(one.rows, other.rows)
        torch.testing.assert_close(one.whole, other.whole)


def test_the_row_of_padding_learns():
    model, (_, texts) = build(padding="released"), batches()
    model.encode_texts(texts).rows.sum().backward()
    assert model.text_encoder.embedding.weight.grad[0].any()


def test_evaluation_encodes_a_hundred_neighbours_at_once():
    assert build(padding="released").caption_batch == 100
    assert build().caption_batch is None


def test_how_words_start():
    torch.manual_seed(0)
    encoder = LHSC(Config(img_dim=12, embed_size=WIDTH, regions=REGIONS), 500).text_encoder
    weight = encoder.embedding.weight
    assert 0.099 < weight.abs().max() <= 0.1
    assert weight[0].any()
    query = encoder.attention.layers[0].query
    assert query.weight.abs().max() <= (6 / 600) ** 0.5
    assert not query.bias.any()
    assert encoder.attention.dropout.p == encoder.pooling.dropout.p == 0.4


def test_bert_may_stand_in_for_words():
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1,
                                num_attention_heads=2, intermediate_size=32))  # fmt: skip
    config = Config(img_dim=12, embed_size=WIDTH, regions=REGIONS, bert="small", bert_lr_scale=0.5)
    model, (images, texts) = LHSC(config, 40, bert).eval(), batches()
    assert max(deviations(model, texts)) < 1e-6
    wider = TextBatch(pad(texts.ids, (0, 3)), texts.lengths, texts.indices)
    torch.testing.assert_close(
        model.encode_texts(wider).rows[:, :9], model.encode_texts(texts).rows
    )
    assert model.score(model.encode_images(images), model.encode_texts(texts)).shape == (3, 4)
    groups = {group["name"]: group["lr"] for group in model.parameter_groups(1.0)}
    assert groups == {"text_head": 1.0, "bert": 0.5, "image": 1.0, "score": 1.0}
