"""What families share whose text side is a BERT; without torch until a tokenizer is made."""

from collections.abc import Sequence
from typing import Any

from lib.errors import InputError
from lib.models.family import Family, Tokenizer


class BertFamily(Family):
    """A family whose text side is the BERT that its setting ``bert`` names."""

    locations = frozenset({"bert"})

    def tokenizer(
        self,
        config: Any,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
    ) -> Tokenizer:
        """BERT's WordPieces, which must be those of a checkpoint's ``state``, if it has one."""
        from lib.models.common.bert import BertTokenizer  # imports torch

        tokenizer = BertTokenizer(config.bert)
        found = tokenizer.state()
        differing = [key for key in found if (state or {}).get(key, found[key]) != found[key]]
        if differing:
            raise InputError(
                f"BERT {config.bert!r}: is not the one that the checkpoint was trained with; its "
                f"{' and '.join(differing)} differ"
            )
        return tokenizer
