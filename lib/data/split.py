"""Opens the files of a split and checks them against each other and against the model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lib.config import Config, FeaturesConfig
from lib.data.captions import CAPTIONS_PER_IMAGE, read_captions, read_ids, require_usable_ids
from lib.data.feature_files import FeatureFiles
from lib.data.images import Pixels
from lib.data.memmap import MemmapArray
from lib.data.pack import is_pack, require_source
from lib.data.provenance import Extractor, read_provenance
from lib.errors import InputError
from lib.files import text_sha256
from lib.models import family_of
from lib.models.family import Family, Input

PICTURES = "images"  # where pictures are looked for, unless features.folder says otherwise


class Entries(Protocol):
    """One entry per image, read when asked: arrays, folders and pictures alike."""

    def __len__(self) -> int: ...
    def __getitem__(self, image: int) -> np.ndarray: ...
    def describe(self) -> str: ...
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class Split:
    """One split of a dataset: n images, 5n captions or none, and arrays that are read when
    asked."""

    folder: Path
    name: str
    image_ids: list[str]  # n
    captions: list[str]  # 5n; 5i..5i+4 belong to image i; none of pictures alone
    ids_per_image: int  # how often the ids file repeats an id, 1 or 5
    features: Entries  # [i]: (K, img_dim) float32, or a picture
    family: Family
    arrays: dict[str, MemmapArray] = field(default_factory=dict)  # the family's inputs, by name
    region_axes: dict[str, int] = field(default_factory=dict)  # of each array
    # File -> what extracted it; files without provenance are left out.
    extractors: dict[str, Extractor] = field(default_factory=dict)

    def fingerprint(self) -> dict[str, str]:
        """What must be the same when a run is resumed: checksums of ids and captions, and of a
        sample of each array, by what they are of."""
        arrays = {name: array.fingerprint() for name, array in self.arrays.items()}
        texts = {"ids": text_sha256(self.image_ids), "captions": text_sha256(self.captions)}
        return {**texts, "features": self.features.fingerprint(), **arrays}

    def files_sha256(self) -> str:
        """A checksum of size and time of change of all files that the split is read from:
        fingerprints are of a sample of what is in them."""
        features: Any = self.features
        paths = [array.path for array in self.arrays.values()]
        told = []
        if isinstance(features, FeatureFiles):
            told.append(features.sources_sha256())
        else:
            paths += getattr(features, "paths", None) or [features.path]
        told += [f"{stat.st_size} {stat.st_mtime_ns}" for stat in (path.stat() for path in paths)]
        return text_sha256(told)


def dataset_folder(root: str | Path, dataset: str) -> Path:
    """``<root>/<dataset>_precomp``, or its sibling layout ``<root>/<dataset>/precomp``. Raises
    InputError: neither is there."""
    candidates = Path(root) / f"{dataset}_precomp", Path(root) / dataset / "precomp"
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise InputError(
        f"no data: neither {candidates[0]} nor {candidates[1]} is a folder (data.root, or "
        "--data_path, says where data sets are); docs/data.md says where the files come from"
    )


def splits_of(folder: Path, suffix: str) -> list[str]:
    """Splits that have a file ``<split>_<suffix>.txt``. Raises InputError: there is none."""
    ending = f"_{suffix}.txt"
    if not (found := sorted(p.name.removesuffix(ending) for p in folder.glob(f"*{ending}"))):
        raise InputError(
            f"{folder}: holds no <split>{ending}; scripts/prepare_captions.py makes them"
        )
    return found


def open_split(
    config: Config, name: str, family_inputs: bool = True, pictures_alone: bool = False
) -> Split:
    """Open one split of ``config.data`` and check its files against each other and the model;
    ``family_inputs=False`` opens captions and features alone, and ``pictures_alone`` does without
    captions where there is no file of them. Raises InputError: names the file, what it holds and
    what was expected."""
    folder = dataset_folder(config.data.root, config.data.dataset)
    captions_path, ids_path = folder / f"{name}_caps.txt", folder / f"{name}_ids.txt"
    captions: list[str] = []
    images = None
    there = captions_path.exists() or captions_path.is_symlink()  # to a disk that is not mounted
    if there or not (pictures_alone and ids_path.is_file()):
        captions = _captions(captions_path)
        images = len(captions) // CAPTIONS_PER_IMAGE
    image_ids, repeats = read_ids(ids_path, images)
    if not image_ids:
        raise InputError(f"{ids_path}: holds no id")
    require_usable_ids(ids_path, image_ids)
    n = len(image_ids)
    family = family_of(config.model)
    features = _open_features(config, folder, name, image_ids, family.regions(config.model))
    inputs = family.inputs(config.model) if family_inputs else ()
    arrays = {spec.name: _open_input(spec, config, folder, name, n) for spec in inputs}
    for spec in inputs:
        if spec.region_axes:
            _check_regions(features, arrays[spec.name])
    axes = {spec.name: spec.region_axes for spec in inputs}
    extractors = _extractors(config.features, folder, name, [spec.stem for spec in inputs])
    about = (folder, name, image_ids, captions, repeats)
    return Split(*about, features, family, arrays, axes, extractors)


def _captions(path: Path) -> list[str]:
    """The captions of a file, five per image."""
    ids = path.with_name(path.name.replace("_caps.txt", "_ids.txt"))
    if not path.exists() and ids.is_file():
        raise InputError(
            f"{path}: no such file, though {ids.name} is there; training and figures need captions "
            "(eval.py --save_embeddings FOLDER alone does not)"
        )
    if not path.exists():
        there = ", ".join(splits_of(path.parent, "caps"))
        raise InputError(f"{path}: no such file; the splits there are {there}")
    captions = read_captions(path)
    if len(captions) % CAPTIONS_PER_IMAGE or not captions:
        raise InputError(
            f"{path}: holds {len(captions)} captions, expected five per image, at least five"
        )
    return captions


def _open_input(spec: Input, config: Config, folder: Path, name: str, images: int) -> MemmapArray:
    path = folder / f"{name}_{spec.stem}.npy"
    if spec.needed_by and not path.is_file():
        raise InputError(
            f"{path}: no such file. It is for {spec.needed_by}; docs/data.md says where the file "
            "comes from"
        )
    axes = spec.region_axes
    shape = (*([config.features.regions] * axes), *spec.shape[axes:])
    return MemmapArray(path, images, shape, spec.meaning, spec.problem)


def _check_regions(features: Entries, array: MemmapArray) -> None:
    """An array of regions must be of the features' regions; of files, the first one tells."""
    found, rows = array.shape[1], len(features[0])
    padded = not isinstance(features, MemmapArray)  # an image may have fewer regions than others
    if found < rows or (found > rows and not padded):
        raise InputError(
            f"{array.path}: is of {found} regions per image, the features are of {rows}"
        )


def _extractors(
    features: FeaturesConfig, folder: Path, name: str, stems: list[str]
) -> dict[str, Extractor]:
    paths = {stem: folder / f"{name}_{stem}.manifest.json" for stem in stems}
    if features.type != "images":  # pictures have no extractor
        own = folder / f"{name}_ims.manifest.json"
        paths["features"] = folder / features.folder / "manifest.json" if features.folder else own
    found = {kind: read_provenance(path) for kind, path in paths.items()}
    return {kind: p.extracted_by() for kind, p in found.items() if p is not None}


def _open_features(
    config: Config, folder: Path, name: str, image_ids: list[str], regions: int | None
) -> Entries:
    """One file per image, their pack, one array per split, or pictures, by ``config.features``; of
    each image the model wants so many ``regions``, or any number."""
    features, img_dim = config.features, config.model.img_dim
    own = ""
    if regions is not None:
        features, own = features.model_copy(update={"regions": regions}), " (model.regions)"
    shape, meaning = (features.regions, img_dim), f"regions{own}, channels (model.img_dim)"
    if features.type == "images":
        reader = family_of(config.model).picture_reader(config.model)
        return Pixels(folder / (features.folder or PICTURES), image_ids, features, reader)
    if features.folder is not None:
        array = folder / features.folder / f"{name}.npy"
        if is_pack(array):
            source = pack_source(features, image_ids)
            require_source(array, source, "pack again with scripts/pack_features.py")
            return MemmapArray(array, len(image_ids), shape, meaning)
        if array.is_file() and name not in image_ids:
            raise InputError(
                f"{array}: has no {name}.json beside it, which says what was packed; pack again "
                "with scripts/pack_features.py"
            )
        return FeatureFiles(folder / features.folder, image_ids, img_dim, features)
    if features.type == "grid":
        raise InputError(
            f"grid features are one file per image, or a pack: name the folder inside {folder} "
            "with features.folder=FOLDER (--features_folder for eval.py)"
        )
    array = folder / f"{name}_ims.npy"
    if not array.is_file():
        raise InputError(
            f"{array}: no such file; where features are one file per image, name their folder "
            "with features.folder=FOLDER (--features_folder for eval.py)"
        )
    return MemmapArray(array, len(image_ids), shape, meaning)


def pack_source(features: FeaturesConfig, image_ids: list[str]) -> dict[str, object]:
    """What a pack must have been made from to stand for one file per image."""
    return {
        "type": features.type,
        "grid_size": features.grid_size if features.type == "grid" else None,
        "images": len(image_ids),
        "ids_sha256": text_sha256(image_ids),
    }
