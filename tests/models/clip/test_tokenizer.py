"""A hub model's tokenizer in the house's terms gives the ids that its own processor gives."""

import json
import shutil

import pytest
from transformers import AutoTokenizer

from lib.data.captions import tokenise
from lib.errors import InputError
from lib.models.clip.tokenizer import HubTokenizer

CAPTIONS = ["A red Dog, on the left!", "two dogs", "", "dogs by " * 90, "a café by the <sea>"]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_ids_are_the_processors(hubs, kind):
    ours, theirs = HubTokenizer(hubs[kind]), AutoTokenizer.from_pretrained(hubs[kind])
    tokenised = tokenise(CAPTIONS, ours)
    for number, caption in enumerate(CAPTIONS):
        found = theirs(caption, truncation=True, max_length=ours.max_length)["input_ids"]
        assert tokenised.ids(number).tolist() == found
    assert tokenised.cut == 1
    (words,) = ours.encode(["two dogs"])
    assert len(ours.pieces(words)) == len(words)
    assert len(ours.prefix) == (kind == "clip") and len(ours.suffix) == 1


def test_a_tokenizer_of_another_model_is_refused(hubs, tmp_path):
    folder = shutil.copytree(hubs["clip"], tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = 300
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"its tokenizer cannot be loaded \(it has \d+ entries"):
        HubTokenizer(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(InputError, match="its tokenizer cannot be loaded"):
        HubTokenizer(folder)
