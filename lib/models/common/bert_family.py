"""What families share whose text side is a BERT; without torch until a tokenizer is made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lib.errors import InputError
from lib.models.family import Family, Tokenizer

BERT_HELP = "BERT's hub name or folder; needs only a config and a vocabulary"


class BertFamily(Family):
    """A family whose text side is the BERT that its setting ``bert`` names."""

    locations: ClassVar[Mapping[str, str]] = {"bert": BERT_HELP}

    def tokenizer(
        self,
        config: Any,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
        folders: Sequence[Path] = (),
    ) -> Tokenizer:
        """BERT's WordPieces, which must be those of a checkpoint's ``state``, if it has one."""
        return bert_tokenizer(config.bert, state or {})

    def travelling(self, config: Any, tokenizer: Tokenizer) -> dict[str, dict[str, str]]:
        """BERT's config and vocabulary."""
        return {"bert": bert_files(config.bert)}


def bert_files(name: str) -> dict[str, str]:
    """Name and content of what :func:`bert_tokenizer` and an untrained BERT are made from."""
    from lib.models.common.bert import text_files  # imports torch

    return text_files(name)


def bert_tokenizer(name: str, state: dict[str, Any]) -> Tokenizer:
    """The WordPieces of the BERT ``name``. Raises InputError: it is not found, or not the one of
    a checkpoint's ``state``."""
    from lib.models.common.bert import BertTokenizer  # imports torch

    tokenizer = BertTokenizer(name)
    found = tokenizer.state()
    differing = [key for key in found if state.get(key, found[key]) != found[key]]
    if differing:
        raise InputError(
            f"BERT {name!r}: is not the one that the checkpoint was trained with; its "
            f"{' and '.join(differing)} differ"
        )
    return tokenizer
