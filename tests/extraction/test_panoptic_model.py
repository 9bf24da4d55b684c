"""scripts/extract_segmentation.py with a small, randomly initialised Mask2Former: real loading."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import EomtImageProcessor

from lib.data.pictures import decode
from lib.data.segmentation import VOID, arrays_of
from lib.errors import InputError
from lib.extraction.categories import NAMES, upsnet_number
from lib.extraction.panoptic_model import load_panoptic_model, small_model, to_tensor
from scripts import extract_segmentation
from tests.support import ROOT, succeed

COCO_NAMES = [NAMES[upsnet_number(position)] for position in range(133)]
ARRAYS = ("segmentations", "seg_maps", "cat_onehots")


def save_model(folder, labels):
    """A folder as ``save_pretrained`` leaves it, of the small random model with these labels."""
    model, processor = small_model(labels)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("panoptic"), COCO_NAMES)


@pytest.fixture
def pictures(tmp_path, world):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "data").mkdir()
    rendered = sorted((world / "scenes_precomp" / "images").iterdir())[:8]
    for i, path in enumerate(rendered):
        picture = Image.open(path)
        if i % 3 == 2:
            picture = picture.crop((0, 0, 224, 150))
        picture.save(tmp_path / "pictures" / f"{path.stem}.png")
    ids = [path.stem for path in rendered]
    (tmp_path / "data" / "train_ids.txt").write_text("\n".join(ids) + "\n")
    return tmp_path


def words(folder, model, *flags):
    return [
        "--images", str(folder / "pictures"), "--data", str(folder / "data"), "--model", str(model),
        "--threshold", "0", "--batch_size", "3", "--workers", "0", "--device", "cpu", *flags,
    ]  # fmt: skip


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


def test_arrays_are_of_the_models_own_maps(pictures, model):
    extract_segmentation.main(words(pictures, model))
    panoptic = load_panoptic_model(str(model))
    found = {name: np.load(pictures / "data" / f"train_{name}.npy") for name in ARRAYS}
    seen = set()
    for i, image_id in enumerate((pictures / "data" / "train_ids.txt").read_text().split()):
        picture = decode(pictures / "pictures" / f"{image_id}.png")
        (labels,) = panoptic.labels(torch.from_numpy(np.array(picture))[None], 0.0)
        assert labels.shape == (picture.height, picture.width)
        expected = arrays_of(labels)
        np.testing.assert_array_equal(found["seg_maps"][i], expected["seg_maps"])
        np.testing.assert_array_equal(found["cat_onehots"][i], expected["cat_onehots"])
        np.testing.assert_allclose(found["segmentations"][i], expected["segmentations"], atol=1e-3)
        seen |= set(np.unique(labels)) - {VOID}
    assert len(seen) > 1  # or the test would show nothing
    manifest = json.loads((pictures / "data" / "train_segmentations.manifest.json").read_text())
    assert manifest["weights"] == model.name
    assert manifest["settings"]["preprocessing"]["image_mean"]
    assert len(manifest["sha256"]) == 64


def test_odd_shapes(pictures, model):
    """One pixel and a ribbon are widened for the model; others are left as they are."""
    sizes = {(1, 1): (32, 32), (20_000, 20): (1333, 84), (59, 640): (59, 640)}
    sizes[4000, 3000] = (1333, 1000)
    for size, seen in sizes.items():
        assert tuple(to_tensor(Image.new("RGB", size)).shape) == (seen[1], seen[0], 3)
    Image.new("L", (1, 1)).save(pictures / "pictures" / "000001.png")
    Image.new("RGB", (20_000, 20)).save(pictures / "pictures" / "000002.png")
    extract_segmentation.main(words(pictures, model))
    found = {name: np.load(pictures / "data" / f"train_{name}.npy") for name in ARRAYS}
    for i in (0, 1):
        shares = found["segmentations"][i].sum(axis=0)
        assert ((shares > -1e-3) & (shares < 1.01)).all()
        present = found["segmentations"][i].any(axis=(1, 2))
        assert (present == (found["cat_onehots"][i] > 0)).all()


def test_labels_are_known_by_name_whatever_their_order(model, tmp_path):
    reversed_model = save_model(tmp_path / "reversed", COCO_NAMES[::-1])
    nameless = save_model(tmp_path / "nameless", [f"LABEL_{i}" for i in range(133)])
    pixels = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    result = {}
    for name, folder in (("coco", model), ("reversed", reversed_model), ("nameless", nameless)):
        (result[name],) = load_panoptic_model(str(folder)).labels(pixels, 0.0)
    np.testing.assert_array_equal(result["coco"], result["nameless"])
    position_of = {upsnet_number(position): position for position in range(133)}
    for number in set(np.unique(result["coco"])) - {VOID}:
        mirrored = upsnet_number(132 - position_of[number])
        assert (result["reversed"][result["coco"] == number] == mirrored).all()


def test_models_that_do_not_suit(tmp_path):
    with pytest.raises(InputError, match="knows 10 categories"):
        load_panoptic_model(str(save_model(tmp_path / "ten", COCO_NAMES[:10])))
    with pytest.raises(InputError, match="knows unicorn, which are not among"):
        load_panoptic_model(str(save_model(tmp_path / "odd", ["unicorn", *COCO_NAMES[1:]])))
    with pytest.raises(InputError, match="pass --model FOLDER"):
        load_panoptic_model("nowhere/mask2former")


def test_a_model_that_is_not_whole(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "half")
    tensors = load_file(folder / "model.safetensors")
    half = dict(list(tensors.items())[::2])
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its weights lack \d+ tensors"):
        load_panoptic_model(str(folder))
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="no panoptic model found"):
        load_panoptic_model(str(folder))


def test_a_model_whose_results_are_read_otherwise(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "eomt")
    EomtImageProcessor().save_pretrained(folder)
    with pytest.raises(InputError, match="whose results are not read here"):
        load_panoptic_model(str(folder))


def test_other_preprocessing_is_another_making(pictures, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    extract_segmentation.main(words(pictures, folder))
    moved = folder.rename(tmp_path / "elsewhere").rename(folder)
    extract_segmentation.main(words(pictures, moved))
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"image_mean": [0.1, 0.2, 0.3]}))
    with pytest.raises(SystemExit) as left:
        extract_segmentation.main(words(pictures, folder))
    assert "existing features were made with other settings: preprocessing" in left.value.code


SLOWLY = """
import sys, time
from lib.data import pictures
from scripts import extract_segmentation

decode = pictures.decode

def slowly(path):
    time.sleep(0.1)
    return decode(path)

pictures.decode = slowly
extract_segmentation.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_files(pictures, model, tmp_path):
    whole = tmp_path / "whole"
    for name in ("pictures", "data"):
        shutil.copytree(pictures / name, whole / name)
    extract_segmentation.main(words(whole, model))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, *words(pictures, model)], cwd=ROOT)
    work = pictures / "data" / ".train_segmentations.extracting"
    while len(list(work.glob("*.npz"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(list(work.glob("*.npz"))) < 8
    extract_segmentation.main(words(pictures, model))
    assert files(pictures) == files(whole)


@pytest.mark.slow
def test_the_command_lists_what_failed(pictures, model):
    (pictures / "pictures" / "000002.png").write_text("<html>")
    with pytest.raises(SystemExit) as left:
        extract_segmentation.main(words(pictures, model))
    assert "1 pictures could not be used" in left.value.code
    failed = (pictures / "data" / "failed.txt").read_text()
    assert failed == "segmentation\ttrain\t000002\tis not a picture that Pillow knows\n"
    Image.new("RGB", (40, 30)).save(pictures / "pictures" / "000002.png")
    flags = words(pictures, model, "--workers", "2")
    assert "8 images" in succeed("python", "scripts/extract_segmentation.py", *flags)
    assert not (pictures / "data" / "failed.txt").exists()


def test_a_random_model_knows_the_categories():
    found = load_panoptic_model("random")
    assert found.name == "random, seed 0"
    assert sorted(found.positions.tolist()) == list(range(133))
    again = load_panoptic_model("random")
    for one, other in zip(found.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
