"""Models of the Hugging Face hub, as local folders: nothing in them is ever run."""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lib.errors import InputError, first_line
from lib.files import read_json

FILES = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
HUB = "hf://"  # begins the word for a model of the hub: hf://NAME, or hf://NAME@REVISION
NAME = re.compile(r"hf:/{1,2}(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
# What is fetched: safetensors, or PyTorch's files where there are no others.
READ = ("*.json", "*.txt", "*.model", "*.yaml", "*.md")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


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


def is_hub_word(word: str | Path) -> bool:
    """Whether ``word`` names a model of the hub; a path library makes hf:/ of hf://."""
    return str(word).startswith("hf:/")


def hub_word(name: str) -> str:
    """A local folder -> itself; a hub name -> the word for it. Raises InputError: it is neither."""
    if not name or Path(name).is_dir() or is_hub_word(name):
        return name
    if NAME.fullmatch(HUB + name) is None:
        raise InputError(f"{name}: no such folder, and no name of the hub (OWNER/NAME)")
    return HUB + name


@lru_cache(maxsize=16)
def local_folder(word: str) -> Path:
    """A local folder -> itself; ``hf://NAME`` -> the folder of the local cache, which is filled
    from the hub first. Raises InputError: no such folder or name, or the hub is unreachable."""
    if not is_hub_word(word):
        if not Path(word).is_dir():
            raise InputError(f"{word}: no such folder")
        return Path(word)
    match = NAME.fullmatch(word)
    if match is None:
        raise InputError(f"{word}: expected hf://OWNER/NAME, or hf://OWNER/NAME@REVISION")
    from huggingface_hub import HfApi, snapshot_download  # slow to import
    from huggingface_hub.errors import (
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    name, revision = match["name"], match["revision"]
    try:
        try:
            files = HfApi().list_repo_files(name, revision=revision)
        except Exception:  # unreachable, or told to stay offline: the cache may have it
            files = []
        safe = any(file.endswith(".safetensors") for file in files)
        patterns = [*READ, *(WEIGHTS[:1] if safe else WEIGHTS)]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{HUB}{name}: the hub cannot be reached, and the local cache does not have it; pass "
            "a local folder of the model instead"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise InputError(
            f"{word}: the hub has no such model, or it is private (hf auth login logs in)"
        ) from error
    except Exception as error:  # no access, a full disk
        raise InputError(f"{HUB}{name}: is unavailable ({first_line(error)})") from error


def require_repo_name(name: str) -> None:
    """Refuse what cannot be OWNER/NAME. Raises InputError."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        raise InputError(f"--repo {name!r}: expected OWNER/NAME, as in me/my-model")


class HubRepository:
    """A model's repository on the hub, to write to."""

    def __init__(self, name: str):
        """``name`` is OWNER/NAME; nothing is asked yet."""
        from huggingface_hub import HfApi  # slow to import

        self.name, self.api = name, HfApi()

    def files(self) -> set[str]:
        """Their names; none where there is no such repository yet. Raises InputError: the hub
        cannot be reached, or does not allow it."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return set(self.api.list_repo_files(self.name))
        except RepositoryNotFoundError:  # or a private one of somebody else
            return set()
        except Exception as error:
            raise InputError(f"{HUB}{self.name}: is unavailable ({first_line(error)})") from error

    def push(self, folder: Path, files: Sequence[str], private: bool) -> str:
        """Make the repository if there is none, and put ``files`` of a folder there in one commit;
        the commit's address. Raises InputError: the hub refuses."""
        try:
            self.api.create_repo(self.name, private=private, exist_ok=True)
            done = self.api.upload_folder(
                repo_id=self.name,
                folder_path=folder,
                allow_patterns=list(files),
                commit_message="A trained model",
            )
        except Exception as error:  # no login, no right, no network
            raise InputError(
                f"{HUB}{self.name}: cannot be pushed ({first_line(error)}); hf auth login logs in"
            ) from error
        return str(done.commit_url)


def model_type(folder: Path) -> str | None:
    """What transformers calls the model of a folder; None: there is none. Raises InputError: its
    config is no JSON object."""
    path = folder / "config.json"
    if not path.is_file():
        return None
    content = read_json(path, "model's config")
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object")
    return str(content.get("model_type"))
