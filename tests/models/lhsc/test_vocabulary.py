"""Vocabularies: built from captions, kept in checkpoints, read from SCAN's files."""

import json
from pathlib import Path

import pytest

from lib.data.captions import tokenise
from lib.errors import InputError
from lib.models import FAMILIES
from lib.models.lhsc.config import Config
from lib.models.lhsc.vocabulary import SPECIAL, Vocabulary, read_vocabulary, vocabulary_of

CAPTIONS = ["A dog runs.", "a dog sits .", "A dog", "a cat", "Dogs <unk>"]
TOKENIZER = FAMILIES["lhsc"].tokenizer


def write(path: Path, words, **changes):
    numbers = {word: number for number, word in enumerate(words)}
    content = {"word2idx": numbers, "idx2word": dict(enumerate(words)), "idx": len(words)}
    path.write_text(json.dumps(content | changes))
    return path


def test_words_that_occur_often_enough_are_kept():
    assert vocabulary_of(CAPTIONS, 4).words == [*SPECIAL, "a"]
    assert vocabulary_of(CAPTIONS, 3).words == [*SPECIAL, "a", "dog"]
    assert vocabulary_of([], 4).words == list(SPECIAL)
    assert TOKENIZER(Config(), CAPTIONS).words == [*SPECIAL, "a"]
    assert TOKENIZER(Config(min_count=3), CAPTIONS).words[-1] == "dog"


def test_a_caption_s_ids(capsys):
    vocabulary = vocabulary_of(CAPTIONS, 2)
    assert vocabulary.words == [*SPECIAL, ".", "a", "dog"]
    captions = tokenise(["A dog.", "A bird!", "", "Zebra"], vocabulary)
    assert [captions.ids(i).tolist() for i in range(4)] == [
        [1, 5, 6, 4, 2], [1, 5, 3, 3, 2], [1, 2], [1, 3, 2]
    ]  # fmt: skip
    assert captions.warnings("test") == [
        "test: 1 captions are empty",
        "test: 1 captions have no word that the vocabulary knows",
    ]


def test_a_file_comes_back(tmp_path):
    vocabulary = vocabulary_of(CAPTIONS, 2)
    (path := tmp_path / "vocab.json").write_text(vocabulary.vocabulary_file())
    assert read_vocabulary(path) == vocabulary.words
    assert TOKENIZER(Config(vocab=str(path)), ["other"]).words == vocabulary.words
    assert read_vocabulary(write(tmp_path / "scan.json", vocabulary.words)) == vocabulary.words


WORDS = [*SPECIAL, "a", "dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such vocabulary"),
        ("[]", 'is not a vocabulary, which has "word2idx"'),
        ("{}", 'is not a vocabulary, which has "word2idx"'),
        ('{"word2idx": {"a": "0"}}', 'is not a vocabulary, which has "word2idx"'),
        ('{"word2idx": {"a": true}}', 'is not a vocabulary, which has "word2idx"'),
        ('{"word2idx": ', "is not a vocabulary"),
        (WORDS[:3] + WORDS[4:], "<unk> is missing, expected number 3"),
        (["<start>", "<pad>", *WORDS[2:]], "<pad> has the number 1, expected number 0"),
        (
            {**dict(zip(WORDS, range(6), strict=True)), "dog": 7},
            "expected the numbers 0 to 5, each of one word; none has 5",
        ),
        (
            {**dict(zip(WORDS, range(6), strict=True)), "dog": 4},
            "expected the numbers 0 to 5, each of one word; none has 5",
        ),
        (
            {**dict(zip(WORDS, range(6), strict=True)), "dog": -1},
            "expected the numbers 0 to 5, each of one word; none has 5",
        ),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, content, message):
    path = tmp_path / "vocab.json"
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, list):
        write(path, content)
    elif content is not None:
        write(path, [], word2idx=content)
    with pytest.raises(InputError, match=message) as error:
        read_vocabulary(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_checkpoint_s_own_words_count(tmp_path):
    kept = Vocabulary(WORDS).state()
    assert TOKENIZER(Config(), None, kept).words == WORDS
    same, other = write(tmp_path / "a.json", WORDS), write(tmp_path / "b.json", [*WORDS, "cat"])
    assert TOKENIZER(Config(vocab=str(same)), None, kept).words == WORDS
    with pytest.raises(InputError, match=r"b\.json: is not the vocabulary that the checkpoint"):
        TOKENIZER(Config(vocab=str(other)), None, kept)
    moved = Config(vocab=str(tmp_path / "gone.json"))  # as it was trained, elsewhere
    assert TOKENIZER(moved, None, kept).words == WORDS
    locations_of = FAMILIES["lhsc"].locations_of
    assert locations_of(Config(), kept) == set()  # --vocab does not apply
    assert locations_of(Config(), {"size": 6, "file": "f.json"}) == {"vocab"}
    assert locations_of(Config(bert="folder"), {}) == {"bert"}


@pytest.mark.parametrize("state", [{"words": 5}, {"words": []}, {"words": [1]}, {"size": "x"}])
def test_a_damaged_state_is_told(state):
    with pytest.raises(InputError, match="damaged: its tokenizer holds no list of words"):
        TOKENIZER(Config(), None, state)


def test_a_released_file_s_words_are_sought(tmp_path):
    state, (one, two) = {"size": 6, "file": "f30k_precomp_vocab.json"}, (tmp_path / "1", tmp_path)
    one.mkdir()
    with pytest.raises(InputError, match=r"is missing: neither .*1/f30k_precomp_vocab.json nor"):
        TOKENIZER(Config(), None, state, (one, two))
    write(two / state["file"], [*SPECIAL, "b", "c"])
    assert TOKENIZER(Config(), None, state, (one, two)).words[-1] == "c"
    write(one / state["file"], WORDS)  # beside the checkpoint
    assert TOKENIZER(Config(), None, state, (one, two)).words == WORDS
    given = write(tmp_path / "given.json", [*SPECIAL, "x", "y"])
    assert TOKENIZER(Config(vocab=str(given)), None, state, (one, two)).words[-1] == "y"
    write(given, [*WORDS, "z"])
    with pytest.raises(
        InputError, match=r"given\.json holds 7 words, but the checkpoint knows 6; name the"
    ):
        TOKENIZER(Config(vocab=str(given)), None, state, ())
    with pytest.raises(InputError, match="does not name its vocabulary; pass it by --vocab FILE"):
        TOKENIZER(Config(), None, {"size": 6, "file": None}, (one,))
