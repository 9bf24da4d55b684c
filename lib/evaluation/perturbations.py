"""Captions with a word swapped, pictures blurred or dimmed: how much of a result is left.

The rules are ours, in the spirit of RoCOCO (Park et al., arXiv 2304.10727): figures are to be
compared among models that were scored here, and not with published ones."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from lib.data.captions import CAPTIONS_PER_IMAGE

# Words that hold a sentence together; swapping one does not change what is seen.
FUNCTION_WORDS = frozenset(
    """a an the this that these those some any each every another other its his her their my your
    our it he she they them him i we you who which what there here and or but nor so than then of in
    on at by for from to into onto over under with without within near next up down out off through
    across along around behind beside between above below against about after before while during as
    like is are was were be been being am do does did doing has have had having can could will would
    may might not no very just also too all both""".split()  # noqa: SIM905
)
BLUR = 0.015  # standard deviation, as a share of the shorter side
DIM = 0.35  # of the brightness that is left


def blurred(picture: Image.Image) -> Image.Image:
    """A picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(BLUR * min(picture.size)))


def dimmed(picture: Image.Image) -> Image.Image:
    """A picture taken in too little light."""
    return ImageEnhance.Brightness(picture).enhance(DIM)


PICTURES: dict[str, Callable[[Image.Image], Image.Image]] = {"blur": blurred, "dim": dimmed}
TITLES = {"words": "wrong twins", "blur": "blurred", "dim": "dimmed"}
MEANINGS = {
    "words": "wrong twins: each caption's copy with one word swapped joins image to text's gallery",
    "blur": f"blurred: Gaussian, standard deviation {100 * BLUR:g}% of the shorter side",
    "dim": f"dimmed: to {100 * DIM:g}% of the brightness",
}


def swapped(captions: Sequence[str], seed: int = 0) -> list[str | None]:
    """5n captions -> each with one word swapped for another that would fit and that no caption of
    its image holds; None where no word can be. A word fits that some caption of the split has
    between the same two neighbours; where there is none, behind the same neighbour; else any
    content word of the split. Only words that occur twice fit, for a single one may be misspelt.
    Which word goes, and for which, is drawn by ``seed`` and place."""
    words = [caption.split() for caption in captions]
    keys = [[_key(word) for word in sentence] for sentence in words]
    between: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    behind: dict[str, Counter[str]] = defaultdict(Counter)
    everywhere: Counter[str] = Counter()
    for sentence in keys:
        for i, key in enumerate(sentence):
            if _is_content(key):
                before, after = _neighbours(sentence, i)
                between[before, after][key] += 1
                behind[before][key] += 1
                everywhere[key] += 1
    twins: list[str | None] = []
    for number, sentence in enumerate(keys):
        first = number - number % CAPTIONS_PER_IMAGE
        own = {_stem(key) for one in keys[first : first + CAPTIONS_PER_IMAGE] for key in one}
        generator = np.random.default_rng((seed, number))
        twins.append(_twin(words[number], sentence, own, (between, behind, everywhere), generator))
    return twins


def _twin(
    words: list[str],
    keys: list[str],
    own: set[str],
    tables: tuple[dict, dict, Counter[str]],
    generator: np.random.Generator,
) -> str | None:
    between, behind, everywhere = tables
    places = [i for i, key in enumerate(keys) if _is_content(key)]
    for level in range(3):
        for i in generator.permutation(places).tolist() if places else ():
            before, after = _neighbours(keys, i)
            table = (between[before, after], behind[before], everywhere)[level]
            fitting = sorted(
                word
                for word in table
                if everywhere[word] > 1 and _stem(word) not in own and _suits(before, word)
            )
            if fitting:
                word = fitting[generator.integers(len(fitting))]
                changed = [*words]
                changed[i] = _dressed(word, words[i], keys[i])
                return " ".join(changed)
    return None


def _key(word: str) -> str:
    """A word as it is compared: in small letters, without the signs around it."""
    return word.strip(".,;:!?\"'()[]").lower()


def _is_content(key: str) -> bool:
    return key.isalpha() and len(key) > 2 and key not in FUNCTION_WORDS


def _stem(key: str) -> str:
    """One for singular and plural."""
    return key.removesuffix("s").removesuffix("e")


def _neighbours(keys: list[str], i: int) -> tuple[str, str]:
    return keys[i - 1] if i else "", keys[i + 1] if i + 1 < len(keys) else ""


def _suits(before: str, word: str) -> bool:
    """Whether the article before a word is right for it, by its first letter."""
    return before not in ("a", "an") or (before == "an") == (word[0] in "aeiou")


def _dressed(word: str, old: str, key: str) -> str:
    """``word`` with the signs and the first letter's size of the ``old`` one, which is ``key``."""
    start = old.lower().index(key)
    word = word.capitalize() if old[start].isupper() else word
    return old[:start] + word + old[start + len(key) :]
