"""Words as NLTK cuts them: recorded results."""

import json

import pytest

from lib.models.lhsc.tokens import words_of
from tests.support import GOLDEN

RECORDED = json.loads((GOLDEN / "lhsc_tokens.json").read_text())["captions"]


def test_every_recorded_caption():
    differing = [case for case in RECORDED if words_of(case["caption"]) != case["tokens"]]
    print(f"{len(RECORDED) - len(differing)} of {len(RECORDED)} captions are equal")
    assert len(RECORDED) == 143
    assert differing == []


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("", []),
        (" \t", []),
        ("É È a B", ["É", "È", "a", "b"]),  # Python 2 knew ASCII alone
        ('A sign says "STOP".', ["a", "sign", "says", "``", "stop", "''", "."]),
    ],
)
def test_what_python_2_made_of_it(caption, words):
    assert words_of(caption) == words
