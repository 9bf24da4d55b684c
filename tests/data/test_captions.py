import json

import numpy as np
import pytest

from lib.data.captions import read_captions, read_ids, tokenise
from lib.errors import InputError
from tests.support import GOLDEN


def tokens(texts, tokenizer):
    return tokenise(texts, tokenizer)


def test_recorded_captions(tokenizer):
    recorded = json.loads((GOLDEN / "captions.json").read_text())["captions"]
    found = tokens([c["text"] for c in recorded], tokenizer)
    wrong = [c for i, c in enumerate(recorded) if found.ids(i).tolist() != c["ids"]]
    assert len(recorded) == 214
    assert not wrong


def test_long_and_empty_captions_are_counted(tokenizer):
    found = tokens(["word " * 600, "", "a dog", "x " * 511], tokenizer)
    assert found.lengths().tolist() == [512, 2, 4, 512]
    assert found.ids(0)[[0, -1]].tolist() == [101, 102]
    assert found.warnings("train") == [
        "train: 2 captions are longer than 512 tokens and were cut",
        "train: 1 captions are empty",
    ]
    assert not tokens(["a dog"], tokenizer).warnings("train")


def test_augmentation_rates_are_per_word(tokenizer):
    """20% of words touched: half masked, a tenth replaced, the rest deleted, as whole words."""
    text = "unaffable frisbees skateboarding grazing"  # several pieces each, none a mask
    captions = tokens([text], tokenizer)
    plain = captions.ids(0)[1:-1]
    words = captions.words - captions.words[0]
    counts = dict.fromkeys(("kept", "masked", "replaced", "deleted"), 0)
    generator = np.random.default_rng(0)
    trials = 5000
    for _ in range(trials):
        found = captions.augmented(0, 0.2, generator)
        assert found[0] == 101
        assert found[-1] == 102
        rest = found[1:-1].tolist()
        for word in range(4):
            own = plain[words == word].tolist()
            if rest[: len(own)] == own:
                kind = "kept"
            elif rest[: len(own)] == [103] * len(own):
                kind = "masked"
            else:
                later = [plain[words == w].tolist() for w in range(word + 1, 4)]
                gone = not rest or any(rest[: len(w)] in (w, [103] * len(w)) for w in later)
                kind = "deleted" if gone else "replaced"
            counts[kind] += 1
            rest = rest if kind == "deleted" else rest[len(own) :]
    shares = {kind: count / trials / 4 for kind, count in counts.items()}
    # A run of deleted and replaced words can be told apart only nearly, hence the tolerance.
    assert shares["kept"] == pytest.approx(0.8, abs=0.01)
    assert shares["masked"] == pytest.approx(0.1, abs=0.01)
    assert shares["replaced"] == pytest.approx(0.02, abs=0.01)
    assert shares["deleted"] == pytest.approx(0.08, abs=0.015)


def test_replacements_cover_the_vocabulary_but_never_padding(tokenizer):
    captions = tokens(["dog " * 500], tokenizer)
    generator = np.random.default_rng(1)
    seen = np.concatenate([captions.augmented(0, 1.0, generator) for _ in range(300)])
    assert tokenizer.random_ids == (tokenizer.padding_id + 1, 30_522)
    assert 0 not in seen
    replaced = seen[(seen != 103) & (seen != 101) & (seen != 102)]
    assert len(replaced) == pytest.approx(300 * 50, rel=0.05)
    assert replaced.max() > 30_000
    assert len(set(replaced.tolist())) > 8000


def test_augmentation_is_a_function_of_its_generator(tokenizer):
    captions = tokens(["A young man in a red jacket jumping for a Frizbee."], tokenizer)
    first, again, other = (
        captions.augmented(0, 0.9, np.random.default_rng(seed)).tolist() for seed in (5, 5, 6)
    )
    assert first == again != other
    assert captions.augmented(0, 0.0, np.random.default_rng(5)).tolist() == captions.ids(0).tolist()


def test_all_words_deleted_leaves_an_empty_caption(tokenizer):
    captions = tokens(["dog"], tokenizer)
    lengths = {len(captions.augmented(0, 1.0, np.random.default_rng(s))) for s in range(50)}
    assert lengths == {2, 3}


def test_only_line_feeds_end_a_caption(tmp_path):
    path = tmp_path / "caps.txt"
    path.write_bytes("\ufeffa\u2028b\x85c\r\n\nlast".encode())
    assert read_captions(path) == ["a\u2028b\x85c", "", "last"]


def test_other_encodings_are_refused_with_the_line(tmp_path):
    path = tmp_path / "caps.txt"
    path.write_bytes(b"a dog\na caf\xe9\n")
    with pytest.raises(InputError, match="line 2 is not UTF-8"):
        read_captions(path)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match="no regular file"):
        read_captions(tmp_path)
    with pytest.raises(InputError, match="no such file of image ids"):
        read_ids(tmp_path / "none")
    (tmp_path / "ids.txt").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        read_ids(tmp_path / "ids.txt")


def test_ids_are_one_per_image_or_one_per_caption(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(f"{i}" for i in range(10)))
    assert read_ids(path) == ([f"{i}" for i in range(10)], 1)
    path.write_text("\n".join(f"{i}" for i in range(2) for _ in range(5)))
    assert read_ids(path) == read_ids(path, 2) == (["0", "1"], 5)
    with pytest.raises(InputError, match="holds 10 ids, expected 3"):
        read_ids(path, 3)
    path.write_text("a a a a b c c c c c")
    with pytest.raises(InputError, match=r"line 1 begins five ids that differ \(a, a, a, a, b\)"):
        read_ids(path, 2)


def test_an_empty_caption_has_nothing_to_augment(tokenizer):
    found = tokens(["", "a dog"], tokenizer)
    generator = np.random.default_rng(0)
    assert found.augmented(0, 1.0, generator).tolist() == [101, 102]
    assert generator.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_captions_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "caps.txt").write_text("a dog\n")

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refused)
    with pytest.raises(InputError, match=r"caps\.txt: cannot be read .*Permission denied"):
        read_captions(tmp_path / "caps.txt")
