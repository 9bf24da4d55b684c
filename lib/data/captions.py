"""Caption and id files, and captions as ids with their augmentation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from lib.errors import InputError, first_line
from lib.files import require_regular
from lib.models.family import Tokenizer

CAPTIONS_PER_IMAGE = 5
# What happens to a touched word (as released): masked, replaced, else deleted.
MASK_SHARE = 0.5
REPLACE_SHARE = 0.1
CHUNK = 1024  # captions tokenised at once, to bound memory on 566,435 of them


def read_captions(path: str | Path) -> list[str]:
    """The lines of a caption file; only a line feed ends a line, as many Unicode signs would.
    Raises InputError: no such file, or a line that is not UTF-8, by its number."""
    captions = []
    number = 0
    require_regular(path, "captions")
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


def read_ids(path: Path, images: int | None = None) -> tuple[list[str], int]:
    """A split's image ids, one per image, and how often the file repeats each: 1 or 5, told by the
    number of ``images``, or by the ids themselves. Raises InputError: no such file, not UTF-8,
    another count, or five captions of different ids."""
    require_regular(path, "image ids")
    try:
        ids = path.read_text(encoding="utf-8-sig").split()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of image ids") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 ({first_line(error)})") from error
    fives = [ids[i : i + CAPTIONS_PER_IMAGE] for i in range(0, len(ids), CAPTIONS_PER_IMAGE)]
    mixed = [i for i, five in enumerate(fives) if five != five[:1] * CAPTIONS_PER_IMAGE]
    if images is None:
        images = len(ids) if mixed else len(fives)
    if len(ids) == images:
        return ids, 1
    if len(ids) != CAPTIONS_PER_IMAGE * images:
        raise InputError(
            f"{path}: holds {len(ids)} ids, expected {images} (one per image) or "
            f"{CAPTIONS_PER_IMAGE * images} (one per caption)"
        )
    if mixed:
        raise InputError(
            f"{path}: line {CAPTIONS_PER_IMAGE * mixed[0] + 1} begins five ids that differ "
            f"({', '.join(fives[mixed[0]])}), expected one id five times"
        )
    return ids[::CAPTIONS_PER_IMAGE], CAPTIONS_PER_IMAGE


def require_usable_ids(source: str | Path, ids: Sequence[str]) -> None:
    """Refuse ids that occur twice, or that no file could be called: with separators, blanks or
    control characters. Raises InputError."""
    seen: set[str] = set()
    for image_id in ids:
        if image_id in ("", ".", "..") or re.search(r"[/\\\s\x00-\x1f\x7f]", image_id):
            raise InputError(f"{source}: {image_id!r} cannot be a file name, as an image id is")
        if image_id in seen:
            raise InputError(f"{source}: {image_id} occurs twice")
        seen.add(image_id)


@dataclass(frozen=True)
class TokenisedCaptions:
    """All captions of a split as flat arrays: small in memory, and shared by forked workers."""

    flat: np.ndarray  # (T,) int32, ids without the tokenizer's prefix and suffix
    words: np.ndarray  # (T,) int32, running number of the word that an id belongs to
    starts: np.ndarray  # (captions + 1,) int64, where each caption begins
    tokenizer: Tokenizer
    cut: int  # captions that were longer than the tokenizer's max_length
    empty: int  # captions without a single id
    unknown: int  # captions of which the vocabulary has no word

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self) -> np.ndarray:
        """(captions,) int64, prefix and suffix counted."""
        return np.diff(self.starts) + len(self.tokenizer.prefix) + len(self.tokenizer.suffix)

    def part(self, captions: range) -> "TokenisedCaptions":
        """Consecutive captions alone."""
        starts = self.starts[captions.start : captions.stop + 1]
        about = (self.tokenizer, self.cut, self.empty, self.unknown)
        return TokenisedCaptions(self.flat, self.words, starts, *about)

    def distinct(self, count: int) -> tuple["TokenisedCaptions", np.ndarray]:
        """The different ones among the first ``count`` captions; which of them each is, (count,)
        int64."""
        numbers: dict[bytes, int] = {}
        bounds = self.starts[: count + 1].tolist()
        which = np.array(
            [
                numbers.setdefault(self.flat[start:end].tobytes(), len(numbers))
                for start, end in pairwise(bounds)
            ],
            np.int64,
        )
        _, firsts = np.unique(which, return_index=True)
        spans = [slice(bounds[first], bounds[first + 1]) for first in firsts.tolist()]
        flat, words = (
            np.concatenate([np.zeros(0, np.int32), *(array[span] for span in spans)])
            for array in (self.flat, self.words)
        )
        lengths = [span.stop - span.start for span in spans]
        starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        about = (self.tokenizer, self.cut, self.empty, self.unknown)
        return TokenisedCaptions(flat, words, starts, *about), which

    def warnings(self, split: str) -> list[str]:
        """What the reader should know once: captions that were cut or are empty."""
        limit = self.tokenizer.max_length
        cut = f"{split}: {self.cut} captions are longer than {limit} tokens and were cut"
        empty = f"{split}: {self.empty} captions are empty"
        unknown = f"{split}: {self.unknown} captions have no word that the vocabulary knows"
        lines = ((self.cut, cut), (self.empty, empty), (self.unknown, unknown))
        return [line for number, line in lines if number]

    def ids(self, index: int) -> np.ndarray:
        """(N,) int64: prefix, the caption's ids, suffix."""
        return self._wrap(self.flat[self.starts[index] : self.starts[index + 1]])

    def augmented(self, index: int, rate: float, generator: np.random.Generator) -> np.ndarray:
        """The same with each word touched at ``rate``, as released: all its ids become the mask
        (50%), or random entries of the vocabulary (10%), or it is deleted (40%)."""
        span = slice(self.starts[index], self.starts[index + 1])
        ids, words = self.flat[span].copy(), self.words[span]
        if not len(ids):
            return self._wrap(ids)
        words = words - words[0]
        touched = generator.random(words[-1] + 1) < rate
        action = generator.random(words[-1] + 1)
        mask = (touched & (action < MASK_SHARE))[words]
        replace = (touched & (action >= MASK_SHARE) & (action < MASK_SHARE + REPLACE_SHARE))[words]
        delete = (touched & (action >= MASK_SHARE + REPLACE_SHARE))[words]
        ids[mask] = self.tokenizer.mask_id
        ids[replace] = generator.integers(*self.tokenizer.random_ids, int(replace.sum()))
        return self._wrap(ids[~delete])

    def _wrap(self, ids: np.ndarray) -> np.ndarray:
        return np.concatenate((self.tokenizer.prefix, ids, self.tokenizer.suffix)).astype(np.int64)


def tokenise(captions: list[str], tokenizer: Tokenizer) -> TokenisedCaptions:
    """All captions' ids, cut to the tokenizer's ``max_length``."""
    room = tokenizer.max_length - len(tokenizer.prefix) - len(tokenizer.suffix)
    chunks: list[np.ndarray] = []
    counts: list[int] = []
    cut = unknown = 0
    for start in range(0, len(captions), CHUNK):
        ids = tokenizer.encode(captions[start : start + CHUNK])
        cut += sum(len(i) > room for i in ids)
        unknown += sum(set(i) == {tokenizer.unknown_id} for i in ids)
        ids = [i[:room] for i in ids]
        counts += map(len, ids)
        chunks.append(np.fromiter(chain.from_iterable(ids), np.int32))
    flat = np.concatenate([np.zeros(0, np.int32), *chunks])
    words = np.cumsum(tokenizer.begins_word[flat], dtype=np.int32)
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    return TokenisedCaptions(flat, words, starts, tokenizer, cut, counts.count(0), unknown)
