"""Folders that bring code."""

import json

import pytest

from lib.errors import InputError
from lib.models.common.hub import (
    FILES,
    hub_word,
    is_hub_word,
    local_folder,
    model_type,
    refuse_code,
    require_repo_name,
)


@pytest.mark.parametrize("file", FILES)
def test_code_is_refused_wherever_it_is_named(tmp_path, file):
    refuse_code(str(tmp_path))
    refuse_code("a/name/of-the-hub")
    path = tmp_path / file
    path.write_text("{}")
    refuse_code(str(tmp_path))
    path.write_text(json.dumps({"auto_map": {"AutoModel": "evil.Evil"}}))
    with pytest.raises(ValueError, match=rf"{file} asks to run code"):
        refuse_code(str(tmp_path))
    for text in ("[]", "3"):
        path.write_text(text)
        with pytest.raises(ValueError, match="holds no JSON object"):
            refuse_code(str(tmp_path))
    path.write_text("{")
    with pytest.raises(InputError, match="is not a configuration"):
        refuse_code(str(tmp_path))


def test_words_of_the_hub(tmp_path):
    assert hub_word(str(tmp_path)) == str(tmp_path)
    assert hub_word("google/siglip") == "hf://google/siglip" == hub_word("hf://google/siglip")
    for word in ("hf://a/b", "hf:/a/b"):  # a path library drops a slash
        assert is_hub_word(word)
    assert not is_hub_word("runs/hf") and not is_hub_word(tmp_path)
    for name in ("none here", "/no/such/folder", "a/b/c"):
        with pytest.raises(InputError, match="no such folder, and no name of the hub"):
            hub_word(name)
    with pytest.raises(InputError, match="expected OWNER/NAME, as in me/my-model"):
        require_repo_name("model")


def test_a_folder_is_itself_and_the_hub_is_not_reached(tmp_path):
    assert local_folder(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="no such folder"):
        local_folder(str(tmp_path / "none"))
    with pytest.raises(InputError, match="hf://a/b: the hub cannot be reached"):
        local_folder("hf://a/b")
    assert model_type(tmp_path) is None
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}')
    assert model_type(tmp_path) == "siglip"
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="holds no JSON object"):
        model_type(tmp_path)
