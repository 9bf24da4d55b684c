"""LHSC's settings and its switches for ablations; *ours* is what the release does not have."""

from typing import Literal

from lib.models.family import FamilyConfig, Float, setting

GRAPH_LAYERS = 4  # the whole model's


class Config(FamilyConfig):
    """Sizes and parts of LHSC."""

    family: Literal["lhsc"] = setting("lhsc", "LHSC")
    embed_size: int = setting(1024, "size of the joint embedding, D", ge=2)
    word_dim: int = setting(300, "size of a word's embedding", ge=1)
    sim_dim: int = setting(256, "size of a similarity vector", ge=1)
    regions: int = setting(36, "regions of every image; a BatchNorm has a channel for each", ge=2)
    graph_layers: int = setting(GRAPH_LAYERS, "depth of the image's graph", ge=1, le=GRAPH_LAYERS)
    use_word_attention: bool = setting(True, "self-attention among words; BERT has its own")
    use_global: bool = setting(True, "align whole images with whole sentences too")
    use_filter: bool = setting(True, "weigh alignments; false: their mean")
    padding: Literal["released", "ignored"] = setting(
        "ignored", "released: padded words count, as in released weights; ignored: they do not"
    )
    dropout: Float = setting(0.4, "of words, and of the global poolings", ge=0, le=1)
    min_count: int = setting(4, "a word of the vocabulary occurs so often in training", ge=1)
    vocab: str | None = setting(None, "a vocabulary file; null: made from the training captions")
    bert: str | None = setting(None, "BERT in place of words and GRU (ours): a name or folder")
    bert_lr_scale: Float = setting(0.1, "BERT's rate is train.lr times this (ours)", ge=0)
