"""Captions to WordPiece ids, and their augmentation from an explicit random generator."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from transformers import BertTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from lib.errors import BERT_ADVICE, InputError, first_line

# What happens to a touched word (3SHNet's release): masked, replaced, else deleted.
MASK_SHARE = 0.5
REPLACE_SHARE = 0.1
CHUNK = 1024  # captions tokenised at once, to bound memory on 566,435 of them


def read_captions(path: str | Path) -> list[str]:
    """The lines of a caption file; only a line feed ends a line, as many Unicode signs would.

    Raises:
        InputError: no such file, or a line that is not UTF-8, by its number.
    """
    captions = []
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                captions.append(line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such caption file") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: line {number} is not UTF-8 ({error.reason} at byte {error.start}); "
            "convert the file, e.g. with iconv -f latin1 -t utf-8"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error
    return captions


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """BERT's tokenizer by hub name, or from a local folder with ``config.json`` and ``vocab.txt``.

    Raises:
        InputError: neither hub, cache nor folder has it; says how to pass a folder.
    """
    try:
        tokenizer = BertTokenizer.from_pretrained(name)
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise ValueError("no vocab.txt")  # transformers goes on with an empty vocabulary
    except (OSError, ValueError) as error:
        raise InputError(
            f"tokenizer {name!r}: not to be had ({first_line(error)}). "
            f"{BERT_ADVICE}config.json and vocab.txt."
        ) from error
    return tokenizer


@dataclass(frozen=True)
class TokenisedCaptions:
    """All captions of a split as flat arrays: small in memory, and shared by forked workers."""

    pieces: np.ndarray  # (T,) int32, ids without [CLS] and [SEP]
    words: np.ndarray  # (T,) int32, running number of the word that a piece belongs to
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
        words = words - words[0]
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
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # a caption that spells "[SEP]" means those characters
    pieces: list[np.ndarray] = []
    counts: list[int] = []
    cut = 0
    for start in range(0, len(captions), CHUNK):
        chunk = captions[start : start + CHUNK]
        ids = [e.ids for e in backend.encode_batch_fast(chunk, add_special_tokens=False)]
        kept = [i[:room] for i in ids]
        cut += sum(len(i) > room for i in ids)
        counts += map(len, kept)
        pieces.append(np.fromiter(chain.from_iterable(kept), np.int32))
    flat = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    begins_word = np.array([not text.startswith("##") for text, _ in entries])
    return TokenisedCaptions(
        pieces=flat,
        words=np.cumsum(begins_word[flat], dtype=np.int32),
        starts=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        start_id=tokenizer.cls_token_id,
        end_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        vocabulary=len(tokenizer),
        positions=room + 2,
        cut=cut,
        empty=counts.count(0),
    )
