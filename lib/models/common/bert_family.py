"""What families share whose text side is a BERT; without torch until a tokenizer is made."""

from collections.abc import Sequence
from typing import Any

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
        """BERT's WordPieces."""
        from lib.models.common.bert import BertTokenizer  # imports torch

        return BertTokenizer(config.bert)
