"""LHSC's words: a vocabulary of the training captions, in SCAN's file format.

A file is JSON with ``word2idx``, ``idx2word`` and ``idx``, the number of words."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError
from lib.files import read_json
from lib.models.family import Tokenizer
from lib.models.lhsc.tokens import words_of

SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")  # ids 0 to 3


class Vocabulary(Tokenizer):
    """Whole words; those that it lacks become ``<unk>``."""

    padding_id, unknown_id = 0, 3
    prefix, suffix = (1,), (2,)
    mask_id = unknown_id
    max_length = 512  # the release cuts nothing, but no data set's caption is so long

    def __init__(self, words: Sequence[str]):
        """Of all words in the order of their ids, the special ones first."""
        self.words = list(words)
        self.ids = {word: number for number, word in enumerate(words)}
        self.random_ids = (min(len(SPECIAL), len(words) - 1), len(words))
        self.begins_word = np.ones(len(words), bool)

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """Ids of each caption's words, without ``<start>`` and ``<end>``."""
        return [
            [self.ids.get(word, self.unknown_id) for word in words_of(caption)]
            for caption in captions
        ]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Words."""
        return [self.words[number] for number in ids]

    def state(self) -> dict[str, Any]:
        """All words."""
        return {"words": self.words}

    def vocabulary_file(self) -> str:
        """SCAN's JSON."""
        return vocabulary_json(self.words)


def vocabulary_json(words: Sequence[str]) -> str:
    """Words in the order of their ids -> the content of a vocabulary file."""
    content = {
        "word2idx": {word: number for number, word in enumerate(words)},
        "idx2word": dict(enumerate(words)),
        "idx": len(words),
    }
    return json.dumps(content) + "\n"


def vocabulary_of(captions: Sequence[str], min_count: int) -> Vocabulary:
    """The special words, and those that occur at least ``min_count`` times, sorted."""
    counts = Counter(word for caption in captions for word in words_of(caption))
    kept = {word for word, count in counts.items() if count >= min_count}
    return Vocabulary([*SPECIAL, *sorted(kept - set(SPECIAL))])


def read_vocabulary(path: Path) -> list[str]:
    """The words of a file, in the order of their ids. Raises InputError: not found, of another
    format, ids with a gap, or without one of the special words."""
    if not path.exists():
        raise InputError(f"{path}: no such vocabulary")
    content = read_json(path, "vocabulary")
    ids = content.get("word2idx") if isinstance(content, dict) else None
    if not isinstance(ids, dict) or not all(type(number) is int for number in ids.values()):
        raise InputError(
            f'{path}: is not a vocabulary, which has "word2idx", words and their numbers, as '
            "SCAN's files do"
        )
    words = sorted(ids, key=lambda word: ids[word])
    if missing := sorted(set(range(len(words))) - set(ids.values())):
        raise InputError(
            f"{path}: expected the numbers 0 to {len(words) - 1}, each of one word; none has "
            f"{missing[0]}"
        )
    for number, word in enumerate(SPECIAL):
        if ids.get(word) != number:
            found = f"has the number {ids[word]}" if word in ids else "is missing"
            raise InputError(f"{path}: {word} {found}, expected number {number}, as SCAN has it")
    return words
