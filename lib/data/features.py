"""Opens the files of a split and checks them against each other and against the model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.config import Config
from lib.data.arrays import CAPTIONS_PER_IMAGE, Entries, MappedArray
from lib.data.boxes import box_problem, relation_problem
from lib.data.captions import read_captions
from lib.data.folder import FeatureFolder
from lib.data.index import FolderIndex
from lib.data.manifest import ids_sha256, read_manifest
from lib.data.pack import Pack
from lib.data.pixels import Pixels
from lib.errors import InputError

PICTURES = "images"  # where pictures are looked for, unless features.folder says otherwise


@dataclass(frozen=True)
class Split:
    """One split of a dataset: n images, 5n captions, and arrays that are read when asked."""

    folder: Path
    name: str
    image_ids: list[str]  # n
    captions: list[str]  # 5n; 5i..5i+4 belong to image i
    ids_per_image: int  # how often the ids file repeats an id, 1 or 5
    features: Entries  # [i]: (K, img_dim) float32, or a picture
    semantic: MappedArray | None  # [i]: (categories, cells, cells) float32
    seg_map: MappedArray | None  # [i]: (map_size, map_size) float32
    categories: MappedArray | None  # [i]: (categories,) float32
    boxes: MappedArray | None = None  # [i]: (K, 4) float32
    relations: MappedArray | None = None  # [i]: (K, K) float32
    # Kind of features -> what made them (Manifest.maker); files without a manifest are left out.
    makers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """A checksum of ids and captions: whether this is the split that it was."""
        return ids_sha256([*self.image_ids, *self.captions])


def dataset_folder(root: str | Path, dataset: str) -> Path:
    """``<root>/<dataset>_precomp``, or its sibling layout ``<root>/<dataset>/precomp``.

    Raises:
        InputError: neither is there.
    """
    candidates = Path(root) / f"{dataset}_precomp", Path(root) / dataset / "precomp"
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise InputError(
        f"no data: neither {candidates[0]} nor {candidates[1]} is a folder; "
        "data/README.md says where the files come from"
    )


def open_split(config: Config, name: str, index: FolderIndex | None = None) -> Split:
    """Open one split of ``config.data`` and check its files against each other and the model.

    Args:
        config: names the dataset, its features and the model that they must suit.
        name: of the split.
        index: remembers the listings of folders with one file per image; None lists anew.

    Raises:
        InputError: names the file, what it holds and what was expected.
    """
    model = config.model
    folder = dataset_folder(config.data.root, config.data.dataset)
    captions_path = folder / f"{name}_caps.txt"
    captions = read_captions(captions_path)
    n, rest = divmod(len(captions), CAPTIONS_PER_IMAGE)
    if rest or n == 0:
        raise InputError(
            f"{captions_path}: holds {len(captions)} captions, expected five per image, "
            "at least five"
        )
    image_ids, repeats = _read_ids(folder / f"{name}_ids.txt", n)
    entries = _open_features(config, folder, name, image_ids, index or FolderIndex())
    share = model.categories
    opened = {
        "semantic": ("segmentations", (share, model.cells, model.cells), "categories, cells"),
        "seg_map": ("seg_maps", (model.map_size, model.map_size), "rows, columns"),
        "categories": ("cat_onehots", (share,), "categories (model.categories)"),
    }
    needed = {"semantic", "categories"} | ({"seg_map"} if model.vspm else set())
    arrays = {
        key: MappedArray(folder / f"{name}_{stem}.npy", n, shape, meaning)
        if model.needs_segmentation and key in needed
        else None
        for key, (stem, shape, meaning) in opened.items()
    }
    arrays |= _open_graphs(config, folder, name, n)
    _check_rows(entries, arrays["boxes"], arrays["relations"])
    makers = _makers(config, folder, name)
    return Split(folder, name, image_ids, captions, repeats, entries, makers=makers, **arrays)


def _check_rows(entries: Entries, *graphs: MappedArray | None) -> None:
    """Features, boxes and relations have to be of the same regions; of files, the first tells."""
    for array in graphs:
        if array is None:
            continue
        found, rows = array.file.shape[1], len(entries[0])
        padded = not isinstance(entries, MappedArray)  # an image may have fewer regions than others
        if found < rows or (found > rows and not padded):
            raise InputError(
                f"{array.file.path}: is of {found} regions per image, the features are of {rows}"
            )


def _open_graphs(
    config: Config, folder: Path, name: str, images: int
) -> dict[str, MappedArray | None]:
    """Boxes and relations, where the model has the graphs that they make."""
    model, rows = config.model, config.features.regions
    boxes = "ims_bbx", (rows, 4), "regions; x1, y1, x2, y2", box_problem
    relations = "rels", (rows, rows), "regions", relation_problem
    opened: dict[str, MappedArray | None] = {}
    for key, graph, needed, (stem, shape, meaning, problem) in (
        ("boxes", "spatial", model.needs_boxes, boxes),
        ("relations", "semantic", model.needs_relations, relations),
    ):
        path = folder / f"{name}_{stem}.npy"
        if needed and not path.is_file():
            raise InputError(
                f"{path}: no such file, which the {graph} graph needs; data/README.md says where "
                f"it comes from, model.use_{graph}_graph=false trains without"
            )
        opened[key] = MappedArray(path, images, shape, meaning, problem) if needed else None
    return opened


def _makers(config: Config, folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Reads the manifests beside the files of a split."""
    features = config.features
    paths = {
        "features": folder / f"{name}_ims.manifest.json"
        if features.folder is None
        else folder / features.folder / "manifest.json"
    }
    if features.type == "images":  # they are what they are
        del paths["features"]
    if config.model.needs_segmentation:
        paths["segmentations"] = folder / f"{name}_segmentations.manifest.json"
    found = {kind: read_manifest(path) for kind, path in paths.items()}
    return {kind: manifest.maker for kind, manifest in found.items() if manifest is not None}


def _open_features(
    config: Config, folder: Path, name: str, image_ids: list[str], index: FolderIndex
) -> Entries:
    """One file per image, their pack, one array per split, or pictures, as ``config.features``
    says."""
    features, img_dim = config.features, config.model.img_dim
    if features.type == "images":
        return Pixels(folder / (features.folder or PICTURES), image_ids, features)
    if features.folder is not None:
        named = folder / features.folder
        if Pack.is_at(named, name):
            return Pack(named, name, image_ids, img_dim, features)
        return FeatureFolder(named, image_ids, img_dim, features, index)
    if features.type == "grid":
        raise InputError(
            "grid features lie in one file per image, or in their pack: name the folder inside "
            f"{folder} with features.folder=FOLDER (--features_folder for eval.py)"
        )
    array = folder / f"{name}_ims.npy"
    if not array.is_file():
        raise InputError(
            f"{array}: no such file; where features lie in one file per image, name their folder "
            "with features.folder=FOLDER (--features_folder for eval.py)"
        )
    shape = (features.regions, img_dim)
    return MappedArray(array, len(image_ids), shape, "regions, channels (model.img_dim)")


def _read_ids(path: Path, images: int) -> tuple[list[str], int]:
    try:
        ids = path.read_text(encoding="utf-8-sig").split()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of image ids") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 ({error})") from error
    if len(ids) == images:
        return ids, 1
    if len(ids) != CAPTIONS_PER_IMAGE * images:
        raise InputError(
            f"{path}: holds {len(ids)} ids, expected {images} (one per image) or "
            f"{CAPTIONS_PER_IMAGE * images} (one per caption)"
        )
    for i in range(0, len(ids), CAPTIONS_PER_IMAGE):
        if len(set(ids[i : i + CAPTIONS_PER_IMAGE])) > 1:
            raise InputError(
                f"{path}: line {i + 1} begins five ids that differ "
                f"({', '.join(ids[i : i + CAPTIONS_PER_IMAGE])}), expected one id five times"
            )
    return ids[::CAPTIONS_PER_IMAGE], CAPTIONS_PER_IMAGE
