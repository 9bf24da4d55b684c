"""Captions to WordPiece ids, and their augmentation from an explicit random generator."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from lib.errors import BERT_ADVICE, InputError

# What happens to a touched word (3SHNet's release): masked, replaced, else deleted.
MASK_SHARE = 0.5
REPLACE_SHARE = 0.1
CHUNK = 8192  # captions tokenised at once, to bound memory on 566,435 of them


def read_captions(path: str | Path) -> list[str]:
    """The lines of a caption file; only a line feed ends a line, as many Unicode signs would.

    Raises:
        InputError: no such file, or a line that is not UTF-8, by its number.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such caption file") from None
    if not lines[-1]:
        lines.pop()
    captions = []
    for number, line in enumerate(lines, 1):
        try:
            captions.append(line.decode("utf-8").removesuffix("\r"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: line {number} is not UTF-8 ({error.reason} at byte {error.start}); "
                "convert the file, e.g. with iconv -f latin1 -t utf-8"
            ) from None
    return captions


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """BERT's tokenizer by hub name, or from a local folder with ``config.json`` and ``vocab.txt``.

    Raises:
        InputError: neither hub, cache nor folder has it; says how to pass a folder.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        if not tokenizer.is_fast or tokenizer.mask_token_id is None:
            raise ValueError(f"{type(tokenizer).__name__} is no WordPiece tokenizer with [MASK]")
        if Path(name).is_dir() and not list(Path(name).glob("vocab.txt")) + list(
            Path(name).glob("tokenizer.json")
        ):
            raise ValueError("no vocab.txt")  # transformers would make up an empty vocabulary
    except (OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: not to be had ({str(error).splitlines()[0]}). "
            f"{BERT_ADVICE}config.json and vocab.txt."
        ) from error
    return tokenizer


@dataclass(frozen=True)
class TokenisedCaptions:
    """All captions of a split as flat arrays: small in memory, and shared by forked workers."""

    pieces: np.ndarray  # (T,) int32, ids without [CLS] and [SEP]
    words: np.ndarray  # (T,) int32, number of the word within its caption
    starts: np.ndarray  # (captions + 1,) int64, where each caption begins
    start_id: int  # [CLS]
    end_id: int  # [SEP]
    mask_id: int  # [MASK]
    vocabulary: int  # number of entries; 0 is padding
    positions: int  # longest caption in pieces, [CLS] and [SEP] counted
    cut: int  # captions that were longer
    empty: int  # captions without a single piece

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self) -> np.ndarray:
        """(captions,) int64, [CLS] and [SEP] counted."""
        return np.diff(self.starts) + 2

    def warnings(self, split: str) -> list[str]:
        """What the reader should know once: captions that were cut or are empty."""
        cut = f"{split}: {self.cut} captions are longer than {self.positions} pieces and were cut"
        empty = f"{split}: {self.empty} captions are empty"
        return [cut] * bool(self.cut) + [empty] * bool(self.empty)

    def ids(self, index: int) -> np.ndarray:
        """(N,) int64: [CLS], the caption's pieces, [SEP]."""
        return self._wrap(self.pieces[self.starts[index] : self.starts[index + 1]])

    def augmented(self, index: int, rate: float, generator: np.random.Generator) -> np.ndarray:
        """The same with each word touched at ``rate``: masked, replaced or deleted (section 3).

        A touched word has every piece turned to [MASK] (50%), every piece turned to a random
        entry of the vocabulary (10%), or is deleted (40%).
        """
        span = slice(self.starts[index], self.starts[index + 1])
        pieces, words = self.pieces[span].copy(), self.words[span]
        if not len(pieces):
            return self._wrap(pieces)
        touched = generator.random(words[-1] + 1) < rate
        action = generator.random(words[-1] + 1)
        mask = (touched & (action < MASK_SHARE))[words]
        replace = (touched & (action >= MASK_SHARE) & (action < MASK_SHARE + REPLACE_SHARE))[words]
        delete = (touched & (action >= MASK_SHARE + REPLACE_SHARE))[words]
        pieces[mask] = self.mask_id
        # Never id 0: it is padding, and the encoder would not see the position.
        pieces[replace] = generator.integers(1, self.vocabulary, int(replace.sum()))
        return self._wrap(pieces[~delete])

    def _wrap(self, pieces: np.ndarray) -> np.ndarray:
        return np.concatenate(([self.start_id], pieces, [self.end_id])).astype(np.int64)


def tokenise(
    captions: list[str], tokenizer: PreTrainedTokenizerBase, bert: PretrainedConfig
) -> TokenisedCaptions:
    """WordPiece ids of all captions, cut to the positions that ``bert`` has.

    Raises:
        InputError: the tokenizer has more entries than ``bert``.
    """
    if len(tokenizer) > bert.vocab_size:
        raise InputError(
            f"BERT {tokenizer.name_or_path!r}: its vocabulary has {len(tokenizer)} entries, "
            f"its config {bert.vocab_size}"
        )
    room = bert.max_position_embeddings - 2  # for [CLS] and [SEP]
    pieces: list[np.ndarray] = []
    words: list[np.ndarray] = []
    counts: list[int] = []
    cut = 0
    for start in range(0, len(captions), CHUNK):
        # A caption that spells out "[SEP]" means those characters, not the control token.
        encoded = tokenizer(
            captions[start : start + CHUNK],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        kept = [ids[:room] for ids in encoded["input_ids"]]
        cut += sum(len(ids) > room for ids in encoded["input_ids"])
        counts += map(len, kept)
        pieces.append(np.fromiter(chain.from_iterable(kept), np.int32))
        numbers = (encoded.word_ids(i)[:room] for i in range(len(kept)))
        words.append(np.fromiter(chain.from_iterable(numbers), np.int32))
    return TokenisedCaptions(
        pieces=np.concatenate(pieces) if pieces else np.zeros(0, np.int32),
        words=np.concatenate(words) if words else np.zeros(0, np.int32),
        starts=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        start_id=tokenizer.cls_token_id,
        end_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        vocabulary=len(tokenizer),
        positions=room + 2,
        cut=cut,
        empty=counts.count(0),
    )
