"""The sentence encoder: BERT, a linear head and GPO (3SHNet; the same as VSE-infinity's)."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, BertModel
from transformers.utils.logging import disable_progress_bar

from lib.batch import TextBatch
from lib.errors import BERT_ADVICE, InputError, first_line
from lib.models.layers import unit
from lib.models.pieces import in_pieces
from lib.models.pooling import GeneralizedPooling


def load_bert(name: str, pretrained: bool) -> BertModel:
    """BERT by hub name or local folder.

    Args:
        name: hub name, or a folder with ``config.json`` and, if ``pretrained``, the weights.
        pretrained: False leaves the weights random, for a checkpoint that brings its own.

    Raises:
        InputError: neither hub, cache nor folder has it; says how to pass a folder.
    """
    needs = "config.json, vocab.txt" + (" and model.safetensors" if pretrained else "")
    try:
        config = AutoConfig.from_pretrained(name)
        if not isinstance(config, BertConfig):
            raise ValueError(f"its config.json is of {config.model_type!r}, expected 'bert'")
        if not pretrained:
            return BertModel(config)
        disable_progress_bar()  # flashes by, and looks like training
        bert, report = BertModel.from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True
        )
        if report["missing_keys"]:  # transformers would leave them random
            missing = sorted(report["missing_keys"])
            raise ValueError(f"its weights lack {len(missing)} tensors, among them {missing[0]}")
    except Exception as error:  # damaged weights fail in ways that transformers does not list
        found = "cannot be loaded from this folder" if Path(name).is_dir() else "is not to be had"
        raise InputError(
            f"BERT {name!r}: {found} ({first_line(error)}). {BERT_ADVICE}{needs}."
        ) from error
    return bert


class Words(nn.Module):
    """Captions to a vector of the joint space for each of their pieces, in context."""

    micro_batch: int | None = None  # captions that BERT keeps activations of

    def __init__(self, bert: BertModel, embed_size: int):
        super().__init__()
        self.bert = bert
        self.projection = nn.Linear(bert.config.hidden_size, embed_size)

    def words(self, batch: TextBatch) -> Tensor:
        """B captions of N pieces -> (B, N, D); padded pieces carry no meaning."""
        return self.projection(in_pieces(self._states, self.micro_batch, batch.ids, batch.mask))

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.bert(ids, attention_mask=mask.long()).last_hidden_state


class TextEncoder(Words):
    """Captions to vectors of the joint space."""

    def __init__(self, bert: BertModel, embed_size: int, normalise: bool):
        super().__init__(bert, embed_size)
        self.pooling = GeneralizedPooling()
        self.normalise = normalise

    def forward(self, batch: TextBatch) -> Tensor:
        """B captions -> (B, D) float32, of unit length unless ``normalise`` is off."""
        pooled = self.pooling(self.words(batch), batch.mask)
        return unit(pooled) if self.normalise else pooled
