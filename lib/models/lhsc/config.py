"""LHSC's settings and its switches for ablations; *ours* is what the release does not have."""

from typing import Literal, get_args

from pydantic import model_validator

from lib.models.family import FamilyConfig, Float, setting

GRAPH_LAYERS = 4  # the whole model's
Padding = Literal["released", "ignored"]
PADDINGS: tuple[str, ...] = get_args(Padding)


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
    padding: Padding = setting(
        "ignored", "released: padded words count, as in released weights; ignored: they do not"
    )
    dropout: Float = setting(0.4, "of words, and of the global poolings", ge=0, le=1)
    min_count: int = setting(4, "a word of the vocabulary occurs so often in training", ge=1)
    vocab: str | None = setting(None, "a vocabulary file; null: made from the training captions")
    bert: str | None = setting(None, "BERT in place of words and GRU (ours): a name or folder")
    bert_lr_scale: Float = setting(0.1, "BERT's rate is train.lr times this (ours)", ge=0)

    @model_validator(mode="after")
    def _words_or_bert(self) -> "Config":
        """Refuse what is of words alone beside a BERT."""
        words = {"padding": "ignored", "vocab": None, "use_word_attention": True}
        for name, needed in words.items():
            if self.bert is not None and getattr(self, name) != needed:
                raise ValueError(f"model.{name} is of words, which model.bert stands in for")
        return self
