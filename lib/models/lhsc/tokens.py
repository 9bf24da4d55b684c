"""Captions to words as LHSC's authors cut them: NLTK's ``word_tokenize``, run by Python 2.7."""

import string
from functools import cache

from nltk.tokenize import TreebankWordTokenizer
from punkt import PunktSentenceTokenizer, tokenizer_for

# Python 2 lowered the case of ASCII letters alone.
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@cache
def _sentences() -> PunktSentenceTokenizer:
    return tokenizer_for("english")


def words_of(caption: str) -> list[str]:
    """The caption in lower case, cut by Punkt to sentences and by the Treebank rules to words; a
    quotation mark becomes two backticks or apostrophes."""
    cut = TreebankWordTokenizer().tokenize
    return [word for text in _sentences().tokenize(caption.translate(LOWER)) for word in cut(text)]
