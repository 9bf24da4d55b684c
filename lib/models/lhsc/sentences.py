"""LHSC's text side: words that attend to each other, then a GRU over them; or a BERT."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import BertModel

from lib.batch import Tensors, TextBatch
from lib.distributed import all_reduce_max
from lib.models.common.bert import TokenEncoder
from lib.models.common.layers import unit
from lib.models.lhsc.config import Config
from lib.models.lhsc.pooling import GlobalPooling, xavier

ATTENTIONS = 4


@dataclass(frozen=True)
class Words(Tensors):
    """B sentences, padded at the end with zero rows to the longest, N."""

    rows: Tensor  # (B, N, D) float32 of unit length
    mask: Tensor  # (B, N) bool; true on real words, <start> and <end> among them
    whole: Tensor  # (B, D) float32 of unit length; (B, 0) without the global part

    def trimmed(self) -> "Words":
        """The same without the columns that are padding in all of them."""
        width = int(self.mask.sum(dim=1).max())
        return Words(self.rows[:, :width], self.mask[:, :width], self.whole)


class WordAttention(nn.Module):
    """y = tanh(L1 x) tanh(L2 x)^T tanh(L3 x) / N + x."""

    def __init__(self, size: int):
        super().__init__()
        self.query, self.key, self.value = (xavier(size, size) for _ in range(3))

    def forward(self, words: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, E) float -> the same shape. With ``mask``, (B, N) bool, words attend to the real
        ones alone; without, to all N, as the release has it."""
        query, value = self.query(words).tanh(), self.value(words).tanh()
        key, count = self.key(words).tanh(), words.new_tensor(words.shape[1])
        if mask is not None:
            value = value * mask[..., None]
            count = mask.sum(dim=1)[:, None, None]
        return (query @ key.transpose(1, 2) / count) @ value + words


class Attentions(nn.Module):
    """Four of them, one on the other, behind dropout."""

    def __init__(self, config: Config, size: int):
        super().__init__()
        count = ATTENTIONS if config.use_word_attention else 0
        self.layers = nn.ModuleList(WordAttention(size) for _ in range(count))
        self.dropout, self.released = nn.Dropout(config.dropout), config.padding == "released"

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, N, E) float, (B, N) bool -> (B, N, E) float."""
        words = self.dropout(words)
        for attention in self.layers:
            words = attention(words, None if self.released else mask)
        return words


def padded_alike(batch: TextBatch, training: bool) -> TextBatch:
    """The batch as wide as the longest caption of all ranks: where padding counts, its width is
    that of the whole batch. Evaluation's batches are one rank's each."""
    width = all_reduce_max(batch.ids.shape[1]) if training else batch.ids.shape[1]
    ids = pad(batch.ids, (0, width - batch.ids.shape[1]))  # with <pad>, which is 0
    return TextBatch(ids, batch.lengths, batch.indices)


class WordEncoder(nn.Module):
    """Embedding, attention, a bidirectional GRU whose directions are averaged."""

    def __init__(self, config: Config, vocabulary: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.word_dim)  # row 0, <pad>, learns too
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.attention = Attentions(config, config.word_dim)
        self.gru = nn.GRU(config.word_dim, config.embed_size, batch_first=True, bidirectional=True)
        self.pooling = (
            GlobalPooling(config.embed_size, config.dropout) if config.use_global else None
        )

    def forward(self, batch: TextBatch) -> Words:
        """B captions."""
        if self.attention.released:
            batch = padded_alike(batch, self.training)
        words = self.attention(self.embedding(batch.ids), batch.mask)
        with torch.autocast(words.device.type, enabled=False):  # a GRU wants float32
            lengths = batch.lengths.cpu()
            packed = pack_padded_sequence(words.float(), lengths, True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.gru(packed)[0], True, total_length=words.shape[1])
        forward, backward = states.chunk(2, dim=-1)
        return _finished((forward + backward) / 2, batch.mask, self.pooling)


class BertEncoder(TokenEncoder):
    """BERT and a projection, without the words' attention: BERT has its own."""

    def __init__(self, config: Config, bert: BertModel):
        super().__init__(bert, config.embed_size, frozen=config.bert_lr_scale == 0)
        self.projection = xavier(bert.config.hidden_size, config.embed_size)
        self.pooling = (
            GlobalPooling(config.embed_size, config.dropout) if config.use_global else None
        )

    def forward(self, batch: TextBatch) -> Words:
        """B captions; all real pieces of words count, [CLS] and [SEP] too."""
        return _finished(self.tokens(batch), batch.mask, self.pooling)


def _finished(rows: Tensor, mask: Tensor, pooling: GlobalPooling | None) -> Words:
    rows = unit(rows) * mask[..., None]
    whole = rows[:, 0, :0] if pooling is None else pooling(rows, mask)
    return Words(rows, mask, whole)
