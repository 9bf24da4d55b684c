"""The tokenizer of a CLIP or SigLIP, whichever its folder holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from lib.errors import InputError, first_line
from lib.models.clip.model import read_config
from lib.models.common.hub import refuse_code
from lib.models.family import Tokenizer


class HubTokenizer(Tokenizer):
    """transformers' tokenizer of a folder; the ids that begin and end a text are found by asking
    it, because they differ from model to model."""

    def __init__(self, folder: Path):
        """Load it. Raises InputError: it is missing, damaged, or larger than the model's
        embedding."""
        try:
            refuse_code(str(folder))
            self._backend = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            self.prefix, self.suffix = _ends(self._backend)
            text = read_config(folder).text_config
            size = len(self._backend)
            if size <= len(self._backend.all_special_tokens):
                raise ValueError("it has no vocabulary")  # transformers accepts an empty one
            if size > text.vocab_size:
                raise ValueError(f"it has {size} entries, the model {text.vocab_size}")
            self.max_length = text.max_position_embeddings
            self.padding_id = self._backend.pad_token_id
            if self.padding_id is None:
                raise ValueError("it has no padding")
        except ImportError as error:
            raise InputError(
                f"{folder}: its tokenizer needs an extra ({first_line(error)}); pip install "
                "sentencepiece protobuf, with the versions in requirements.txt"
            ) from error
        except InputError:
            raise
        except Exception as error:  # damaged files fail in ways that transformers does not list
            raise InputError(
                f"{folder}: its tokenizer cannot be loaded ({first_line(error)})"
            ) from error
        unknown = self._backend.unk_token_id
        # Augmentation's, which nothing here asks for.
        self.mask_id, self.random_ids = self.padding_id, (0, size)
        self.unknown_id = None if unknown in (None, *self.suffix) else unknown
        self.begins_word = np.ones(text.vocab_size, bool)

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """Ids of each caption, without those that begin and end it, uncut."""
        found = self._backend(list(captions), add_special_tokens=False, verbose=False)
        return found["input_ids"]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's entries."""
        return list(self._backend.convert_ids_to_tokens(list(ids)))

    def state(self) -> dict[str, Any]:
        """Nothing: the folder keeps it."""
        return {}


def _ends(backend: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and behind a text. Raises ValueError: it changes the text."""
    bare = backend("a", add_special_tokens=False)["input_ids"]
    full = backend("a")["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if bare and full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    raise ValueError(f"it makes {full} of 'a', and without its own ids {bare}")
