"""scripts/prepare_captions.py on files of Karpathy's shape."""

import json

import pytest

from scripts import prepare_captions
from tests.support import succeed


def karpathy(path, splits, coco):
    images = []
    for i, split in enumerate(splits):
        # Six captions, of which five count; line breaks and runs of blanks are one blank.
        sentences = [{"raw": f" caption\n {j}  of {i} "} for j in range(6)]
        image = {"filename": f"{1000 + i}.jpg", "imgid": i, "split": split, "sentences": sentences}
        images.append(image | ({"cocoid": 500 + i, "filepath": "val2014"} if coco else {}))
    path.write_text(json.dumps({"images": images, "dataset": "x"}))
    return path


def refusal(*words):
    with pytest.raises(SystemExit) as left:
        prepare_captions.main([str(word) for word in words])
    return left.value.code


def test_cocos_splits(tmp_path):
    splits = ["test", "restval", "train", "val", *["test"] * 9, "train"]
    path = karpathy(tmp_path / "dataset_coco.json", splits, coco=True)
    out = tmp_path / "coco_precomp"
    printed = succeed("python", "scripts/prepare_captions.py", "--karpathy", path, "--out", out)
    assert "train: 3 images, 15 captions" in printed
    ids = {path.name: path.read_text().split() for path in out.glob("*_ids.txt")}
    assert ids["train_ids.txt"] == ["501", "502", "513"]
    assert ids["dev_ids.txt"] == ["503"]
    assert ids["testall_ids.txt"] == ["500", *(str(i) for i in range(504, 513))]
    assert ids["test_ids.txt"] == ["500", "504"]  # the first fifth
    lines = (out / "train_caps.txt").read_text().splitlines()
    assert lines[:6] == [*(f"caption {j} of 1" for j in range(5)), "caption 0 of 2"]
    whole = (out / "testall_caps.txt").read_text()
    assert whole.startswith((out / "test_caps.txt").read_text())


def test_flickrs_splits(tmp_path):
    path = karpathy(tmp_path / "d.json", ["train", "val", "test", "train"], coco=False)
    prepare_captions.main(["--karpathy", str(path), "--out", str(tmp_path / "f30k_precomp")])
    found = {p.name: p.read_text().split() for p in (tmp_path / "f30k_precomp").glob("*_ids.txt")}
    assert found == {
        "train_ids.txt": ["1000", "1003"], "dev_ids.txt": ["1001"], "test_ids.txt": ["1002"],
    }  # fmt: skip


def test_files_of_another_content_stay(tmp_path):
    path = karpathy(tmp_path / "d.json", ["train", "val"], coco=False)
    command = ("--karpathy", path, "--out", tmp_path / "out")
    prepare_captions.main([str(word) for word in command])
    prepare_captions.main([str(word) for word in command])
    (tmp_path / "out" / "dev_ids.txt").write_text("mine\n")
    before = (tmp_path / "out" / "train_caps.txt").stat().st_mtime_ns
    assert "dev_ids.txt: is there with another content" in refusal(*command)
    assert (tmp_path / "out" / "dev_ids.txt").read_text() == "mine\n"
    assert (tmp_path / "out" / "train_caps.txt").stat().st_mtime_ns == before
    prepare_captions.main([*(str(word) for word in command), "--overwrite"])
    assert (tmp_path / "out" / "dev_ids.txt").read_text() == "1001\n"


def test_bad_files(tmp_path):
    path, out = tmp_path / "d.json", tmp_path / "out"
    command = ("--karpathy", path, "--out", out)
    assert "cannot be read" in refusal(*command)
    for text in ("{", "[]", '{"images": []}', '{"images": [{"filename": 3}]}', '{"images": 3}'):
        path.write_text(text)
        assert "none of Karpathy's files" in refusal(*command)
    karpathy(path, ["train", "holdout"], coco=False)
    assert "split 'holdout'" in refusal(*command)
    content = json.loads(karpathy(path, ["train", "val"], coco=False).read_text())
    content["images"][1]["sentences"][3:] = [{"raw": " "}, {"raw": "a"}]
    path.write_text(json.dumps(content))
    assert "image 1001 has 4 captions" in refusal(*command)
    content["images"][1] = content["images"][0]
    path.write_text(json.dumps(content))
    assert "1000 is there twice" in refusal(*command)
    assert not out.exists()
