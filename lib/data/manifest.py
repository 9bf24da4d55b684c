"""What made a file of features: written beside it, read when it is evaluated."""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lib.errors import InputError, first_line
from lib.files import replacing

PACKAGES = ("torch", "torchvision", "transformers", "numpy", "pillow")


@dataclass(frozen=True)
class Manifest:
    """An extractor, its weights and its settings."""

    extractor: str  # as in "grid: ResNeXt-101 32x8d"
    weights: str  # the file's name, or what stands in for one
    sha256: str | None  # of the weights; None for random ones
    settings: dict[str, Any]  # preprocessing, sizes, dtype: all that the numbers depend on
    versions: dict[str, str] = field(default_factory=lambda: versions())
    counts: dict[str, int] = field(default_factory=dict)  # images per split
    ids: dict[str, str] = field(default_factory=dict)  # per split, sha256 of an array's image ids

    def differences(self, other: "Manifest") -> list[str]:
        """In which respects the two make different features, for a reader."""
        own, theirs = (
            {"extractor": m.extractor, "weights": m.weights, "sha256": m.sha256, **m.settings}
            for m in (self, other)
        )
        return [
            f"{key} {own.get(key)!r} there, {theirs.get(key)!r} now"
            for key in own | theirs
            # As JSON keeps them, which knows no tuples.
            if json.dumps(own.get(key)) != json.dumps(theirs.get(key))
        ]

    @property
    def maker(self) -> dict[str, Any]:
        """What decides whether weights suit these features: all but sizes and storage."""
        return {
            "extractor": self.extractor,
            "weights": self.weights,
            "sha256": self.sha256,
            "preprocessing": json.loads(json.dumps(self.settings.get("preprocessing"))),
        }


def maker_notes(trained: dict[str, dict], scored: dict[str, dict]) -> list[str]:
    """Where a model gets features of another maker than those that it was trained on.

    Args:
        trained: kind of features -> :attr:`Manifest.maker` of the training's; kinds whose files
            have no manifest, as published ones, are not in it.
        scored: the same of what the model gets now.
    """
    notes = []
    for kind in sorted(trained.keys() | scored.keys()):
        before, now = trained.get(kind), scored.get(kind)
        if before == now:
            continue
        texts = [
            "files that do not tell their maker"
            if maker is None
            else f"{maker['extractor']} with {maker['weights']}"
            + (f" (sha256 {maker['sha256'][:12]})" if maker["sha256"] else "")
            + (f", {maker['preprocessing']}" if maker["preprocessing"] else "")
            for maker in (now, before)
        ]
        notes.append(
            f"{kind} come from {texts[0]}, those of the training from {texts[1]}; weights do not "
            "suit another extractor's"
        )
    return notes


def versions() -> dict[str, str]:
    """Of the libraries whose arithmetic features depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def ids_sha256(image_ids: Sequence[str]) -> str:
    """A checksum of image ids and their order."""
    return hashlib.sha256("\n".join(image_ids).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """A file's checksum, in hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest; raises :class:`InputError` where the file cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at ``path``, None where there is none.

    Raises:
        InputError: it is damaged.
    """
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        if not all(isinstance(v, dict) for v in (manifest.settings, manifest.counts, manifest.ids)):
            raise TypeError("its settings, counts or ids are no objects")
        return manifest
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is no readable manifest ({first_line(error)})") from error
