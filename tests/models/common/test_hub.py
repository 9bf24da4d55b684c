"""Folders that bring code."""

import json

import pytest

from lib.errors import InputError
from lib.models.common.hub import FILES, refuse_code


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
