"""Folders of the hub's libraries: nothing in them is ever run."""

from pathlib import Path

from lib.files import read_json

FILES = ("config.json", "tokenizer_config.json", "preprocessor_config.json")


def refuse_code(name: str) -> None:
    """Refuse a local folder that brings code of its own, about which transformers would ask.
    Raises ValueError: which file names it; InputError: a file is no JSON."""
    for file in FILES:
        path = Path(name) / file
        if path.is_file():
            content = read_json(path, "configuration")
            if not isinstance(content, dict):
                raise ValueError(f"{file} holds no JSON object")
            if "auto_map" in content:
                raise ValueError(f"{file} asks to run code of its own (auto_map), which is refused")
