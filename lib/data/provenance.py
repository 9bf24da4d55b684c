"""What made a file of features: a JSON file beside it, compared when a model is evaluated."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lib.errors import InputError, first_line
from lib.files import atomic_write, require_regular

PACKAGES = ("torch", "torchvision", "transformers", "numpy", "pillow")
EXTRA = "timm"  # where it is installed
Extractor = dict[str, Any]  # what decides whether weights suit features


def _versions() -> dict[str, str]:
    found = {package: version(package) for package in PACKAGES}
    with suppress(PackageNotFoundError):
        found[EXTRA] = version(EXTRA)
    return found


@dataclass(frozen=True)
class Provenance:
    """An extractor, its weights and its settings."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    extractor: str  # as in "grid: ResNeXt-101 32x8d"
    weights: str  # the file's name, or what stands in for one
    sha256: str | None  # of the weights; None for random ones
    settings: dict[str, Any]  # preprocessing, sizes, dtype: all that the numbers depend on
    versions: dict[str, str] = field(default_factory=_versions)
    counts: dict[str, int] = field(default_factory=dict)  # images per split
    ids: dict[str, str] = field(default_factory=dict)  # per split, sha256 of an array's image ids
    content_sha256: str | None = None  # of an array's file

    def differences(self, other: "Provenance") -> list[str]:
        """In which respects the two make different features, for a reader."""
        own, theirs = (
            {"extractor": p.extractor, "weights": p.weights, "sha256": p.sha256, **p.settings}
            for p in (self, other)
        )
        return [
            f"{key} {own.get(key)!r} there, {theirs.get(key)!r} now"
            for key in own | theirs
            # As JSON keeps them, which knows no tuples.
            if json.dumps(own.get(key)) != json.dumps(theirs.get(key))
        ]

    def extracted_by(self) -> Extractor:
        """What decides whether weights suit these features: all but sizes and storage."""
        preprocessing = json.loads(json.dumps(self.settings.get("preprocessing")))
        about = {"extractor": self.extractor, "weights": self.weights, "sha256": self.sha256}
        return about | {"preprocessing": preprocessing}


_PROVENANCE = TypeAdapter(Provenance)


def mismatches(trained: dict[str, Extractor], scored: dict[str, Extractor]) -> list[str]:
    """Notes where a model gets features of another extractor than it was trained on; both map a
    kind of file to :meth:`Provenance.extracted_by`, and leave out files without provenance."""
    notes: dict[str, list[str]] = {}
    for kind in sorted(trained.keys() | scored.keys()):
        before, now = trained.get(kind), scored.get(kind)
        if before != now:
            text = (
                f"come from {_described(now)}, but the model was trained on those of "
                f"{_described(before)}; weights do not suit another extractor's features"
            )
            notes.setdefault(text, []).append(kind)
    return [f"{' and '.join(kinds)} {text}" for text, kinds in notes.items()]


def _described(extractor: Extractor | None) -> str:
    if extractor is None:
        return "files without provenance"
    sha256, preprocessing = extractor["sha256"], extractor["preprocessing"]
    return (
        f"{extractor['extractor']} with {extractor['weights']}"
        + (f" (sha256 {sha256[:12]})" if sha256 else "")
        + (f", {preprocessing}" if preprocessing else "")
    )


def write_provenance(path: Path, provenance: Provenance) -> None:
    """Write atomically; raises :class:`InputError` where the file cannot be written."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asdict(provenance), indent=1) + "\n", encoding="utf-8")


def read_provenance(path: Path) -> Provenance | None:
    """The provenance at ``path``, None where there is none. Raises InputError: it is damaged."""
    try:
        if not path.exists():
            return None
        require_regular(path, "a manifest")
        return _PROVENANCE.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"{path}: is not a readable manifest ({where}: {first['msg']})"
        raise InputError(message) from error
    except OSError as error:
        raise InputError(f"{path}: is not a readable manifest ({first_line(error)})") from error
