"""BERT as a text side: tokenizer, encoder and parameter groups (VSE-infinity's)."""

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, BertModel
from transformers import BertTokenizer as WordPieceTokenizer
from transformers.utils.logging import disable_progress_bar

from lib.batch import TextBatch
from lib.errors import InputError, first_line
from lib.files import text_sha256
from lib.models.common.explanation import Named
from lib.models.common.gpo import GeneralizedPooling
from lib.models.common.hub import refuse_code
from lib.models.common.layers import unit
from lib.models.common.micro_batch import chunked_forward
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel
from lib.models.common.word_cache import WordCache
from lib.models.family import Tokenizer

# What bert-base-uncased does to text before it cuts words.
NORMALIZER = {
    "lowercase": True,
    "strip_accents": None,
    "clean_text": True,
    "handle_chinese_chars": True,
}
# Settings of a BERT that its tensors do not show.
SHAPING = ("num_attention_heads", "hidden_act", "layer_norm_eps", "max_position_embeddings")
MOST_PARAMETERS, MOST_LAYERS = 3 * 10**9, 200  # BERT-large has 0.3 billion, in 24 layers
ADVICE = (
    "Where the hub cannot be reached, pass a local folder (model.bert=FOLDER to train.py, "
    "--bert FOLDER to eval.py) with "
)


class BertTokenizer(Tokenizer):
    """``bert-base-uncased``'s WordPieces, cut to the positions that the BERT has."""

    padding_id = 0

    def __init__(self, name: str):
        """Load by hub name, or from a local folder with ``config.json`` and ``vocab.txt``. Raises
        InputError: not found, or its vocabulary is larger than BERT's."""
        try:
            refuse_code(name)
            tokenizer = WordPieceTokenizer.from_pretrained(name, trust_remote_code=False)
            if len(tokenizer) <= len(tokenizer.all_special_tokens):
                raise ValueError("no vocab.txt")  # transformers accepts an empty vocabulary
        except Exception as error:  # damaged files fail in ways that transformers does not list
            raise InputError(
                f"tokenizer {name!r}: not found ({first_line(error)}). "
                f"{ADVICE}config.json and vocab.txt."
            ) from error
        config = _load_config(name, "config.json, vocab.txt")
        entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if len(entries) > config.vocab_size:
            raise InputError(
                f"BERT {name!r}: its vocabulary has {len(entries)} entries, "
                f"its config {config.vocab_size}"
            )
        if [number for _, number in entries] != list(range(len(entries))):
            raise InputError(f"BERT {name!r}: its vocabulary has an entry twice, or a gap")
        special = tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.cls_token_id
        if special[0] != 0 or any(number is None for number in special):
            raise InputError(
                f"BERT {name!r}: its vocabulary does not begin with [PAD], or lacks "
                "[UNK], [CLS], [SEP] or [MASK]"
            )
        self._backend = tokenizer.backend_tokenizer
        _require_wordpieces(name, self._backend)
        self._backend.encode_special_tokens = True  # "[SEP]" in a caption is five characters
        # A tokenizer.json may ask for both, as sentence-transformers' do: captions of [PAD].
        self._backend.no_padding()
        self._backend.no_truncation()
        self.prefix = (tokenizer.cls_token_id,)
        self.suffix = (tokenizer.sep_token_id,)
        self.mask_id = tokenizer.mask_token_id
        self.unknown_id = tokenizer.unk_token_id
        # Never the padding id: the encoder would not see the position.
        self.random_ids = (1, len(tokenizer))
        self.max_length = config.max_position_embeddings
        self.begins_word = np.array([not text.startswith("##") for text, _ in entries])
        normalizer = self._backend.normalizer
        settings = {key: getattr(normalizer, key) for key in NORMALIZER}
        if changed := [f"{k}={settings[k]}" for k, v in NORMALIZER.items() if settings[k] != v]:
            self.notes = (
                f"BERT {name!r} reads text with {', '.join(changed)}, as "
                "bert-base-uncased does not",
            )
        settings |= {key: getattr(config, key) for key in SHAPING}
        text = "\n".join(text for text, _ in entries)
        self._state = {"vocabulary": text_sha256([text]), **settings}

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """WordPiece ids of each caption, without [CLS] and [SEP], uncut."""
        encoded = self._backend.encode_batch_fast(list(captions), add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """WordPieces; those that continue a word begin with ``##``."""
        return [self._backend.id_to_token(number) for number in ids]

    def state(self) -> dict[str, Any]:
        """A checksum of the vocabulary, and the settings that leave no trace in the weights."""
        return dict(self._state)


def _require_wordpieces(name: str, backend: Any) -> None:
    """Refuse a tokenizer that cuts text otherwise than BERT's does."""
    kinds = {
        "WordPiece": backend.model,
        "BertPreTokenizer": backend.pre_tokenizer,
        "BertNormalizer": backend.normalizer,
    }
    for wanted, part in kinds.items():
        if type(part).__name__ != wanted:
            raise InputError(
                f"BERT {name!r}: its tokenizer has a {type(part).__name__}, expected {wanted}, as "
                "BERT's"
            )


def _load_config(name: str, needs: str) -> BertConfig:
    try:
        refuse_code(name)
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if not isinstance(config, BertConfig):
            raise ValueError(f"its config.json is of {config.model_type!r}, expected 'bert'")
        _require_size(config)
    except Exception as error:  # a damaged file fails in ways that transformers does not list
        raise _unavailable(name, error, needs) from error
    return config


def text_files(name: str) -> dict[str, str]:
    """Name and content of the files that :class:`BertTokenizer` and :func:`load_bert` without its
    weights need, without this machine's paths. Raises InputError: not found."""
    config = _load_config(name, "config.json, vocab.txt").to_dict()
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = WordPieceTokenizer.from_pretrained(name, trust_remote_code=False)
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).iterdir()):
            files[path.name] = path.read_text(encoding="utf-8")
    entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    files["vocab.txt"] = "".join(f"{text}\n" for text, _ in entries)
    for name_of, values in (("config.json", config), ("tokenizer_config.json", None)):
        content = json.loads(files[name_of]) if values is None else values
        for key in ("_name_or_path", "name_or_path"):
            content.pop(key, None)
        files[name_of] = json.dumps(content, indent=1) + "\n"
    return files


def _require_size(config: BertConfig) -> None:
    """Refuse sizes that no BERT has: a damaged config would ask for any amount of memory. Raises
    ValueError."""
    h, i = config.hidden_size, config.intermediate_size
    sizes = (config.num_hidden_layers, h, i, config.vocab_size, config.max_position_embeddings)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"its config.json asks for sizes {sizes}")
    words = (config.vocab_size + config.max_position_embeddings) * h
    count = words + config.num_hidden_layers * (4 * h * h + 2 * h * i)
    if count > MOST_PARAMETERS or config.num_hidden_layers > MOST_LAYERS:
        raise ValueError(f"its config.json asks for {count:,} parameters")


def _unavailable(name: str, error: Exception, needs: str) -> InputError:
    found = "this folder cannot be loaded" if Path(name).is_dir() else "unavailable"
    return InputError(f"BERT {name!r}: {found} ({first_line(error)}). {ADVICE}{needs}.")


def load_bert(name: str, pretrained: bool) -> BertModel:
    """BERT by hub name, or from a folder with ``config.json`` and, if ``pretrained``, the weights;
    else they are random. Raises InputError: neither hub, cache nor folder has it."""
    needs = "config.json, vocab.txt" + (" and model.safetensors" if pretrained else "")
    config = _load_config(name, needs)
    try:
        if not pretrained:
            return BertModel(config)
        disable_progress_bar()  # flashes by, and looks like training
        loaded: Any = BertModel.from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True
        )
        bert, report = loaded
        if report["missing_keys"]:  # transformers would leave them random
            missing = sorted(report["missing_keys"])
            raise ValueError(f"its weights lack {len(missing)} tensors, among them {missing[0]}")
    except Exception as error:  # damaged weights fail in ways that transformers does not list
        raise _unavailable(name, error, needs) from error
    return bert


class TokenEncoder(nn.Module):
    """BERT and a linear projection: a vector of the joint space for each token, in context."""

    micro_batch: int | None = None  # captions whose activations BERT keeps; None: all
    cache: WordCache | None = None  # of the training captions, if BERT is frozen

    def __init__(self, bert: BertModel, embed_size: int, frozen: bool = False):
        """A ``frozen`` BERT has no gradients, and no dropout in training either."""
        super().__init__()
        self.bert, self.frozen = bert.requires_grad_(not frozen), frozen
        self.projection = nn.Linear(bert.config.hidden_size, embed_size)

    @property
    def state_size(self) -> int:
        """Size of the states that :meth:`fill_cache` keeps."""
        return self.bert.config.hidden_size

    def train(self, mode: bool = True) -> "TokenEncoder":
        """Training mode for all but a frozen BERT."""
        super().train(mode)
        if self.frozen:
            self.bert.eval()
        return self

    def tokens(self, batch: TextBatch) -> Tensor:
        """B captions of N tokens -> (B, N, D) float; padded tokens carry no meaning."""
        if self.frozen:
            return self.projection(self._frozen_states(batch))
        states = chunked_forward(self._states, self.micro_batch, batch.ids, batch.mask)
        return self.projection(states)

    def _frozen_states(self, batch: TextBatch) -> Tensor:
        if self.cache is not None and self.training:
            return self.cache.of(batch)
        with torch.no_grad():
            return self._states(batch.ids, batch.mask)

    def fill_cache(
        self, batches: Iterable[TextBatch], lengths: np.ndarray, dtype: torch.dtype
    ) -> None:
        """Let a frozen BERT read all training captions, of ``lengths`` ids each, and keep what it
        makes of them for training."""
        cache = WordCache(lengths, self.state_size, dtype)
        device = self.projection.weight.device
        with torch.no_grad():
            for batch in batches:
                on_device = batch.to(device)
                cache.keep(batch, self._states(on_device.ids, on_device.mask))
        self.cache = cache

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.bert(ids, attention_mask=mask.long()).last_hidden_state


class TextEncoder(TokenEncoder):
    """BERT, a linear projection and GPO: captions to vectors of the joint space."""

    def __init__(self, bert: BertModel, embed_size: int, normalise: bool, frozen: bool = False):
        super().__init__(bert, embed_size, frozen)
        self.pooling = GeneralizedPooling()
        self.normalise = normalise

    def forward(self, batch: TextBatch) -> Tensor:
        """B captions -> (B, D) float32, of unit length unless ``normalise`` is off."""
        pooled = self.pooling(self.tokens(batch), batch.mask)
        return unit(pooled) if self.normalise else pooled

    def explain(self, batch: TextBatch, images: Tensor) -> Named:
        """(B, N) float32 each: the share of the pooling that each token has, and what it adds to
        the score with its (B, D) image; together that is the score."""
        rows, mask = self.tokens(batch).float(), batch.mask
        weights = self.pooling.by_row(rows, mask)
        weighed = weights * rows
        added = (weighed * images[:, None]).sum(dim=-1)
        if self.normalise:
            added = added / weighed.sum(dim=1).norm(dim=-1, keepdim=True)
        return {"GPO: share": weights.mean(dim=-1), "score: what it adds": added}


def bert_parameter_groups(model: RetrievalModel, lr: float, scale: float) -> list[ParameterGroup]:
    """Groups of a model whose ``text_encoder`` is a :class:`TokenEncoder`: text head, BERT (its
    rate is ``lr`` times ``scale``), image encoder, and the score if it learns."""
    text, image = dict(model.text_encoder.named_parameters()), model.image_encoder.parameters()
    bert = [parameter for name, parameter in text.items() if name.startswith("bert.")]
    head = [parameter for name, parameter in text.items() if not name.startswith("bert.")]
    groups: list[ParameterGroup] = [
        {"name": "text_head", "params": head, "lr": lr},
        {"name": "bert", "params": bert, "lr": lr * scale},
        {"name": "image", "params": list(image), "lr": lr},
    ]
    known = {id(parameter) for group in groups for parameter in group["params"]}
    if score := [p for p in model.parameters() if id(p) not in known]:
        groups.append({"name": "score", "params": score, "lr": lr})
    return groups
