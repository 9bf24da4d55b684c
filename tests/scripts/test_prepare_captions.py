"""scripts/prepare_captions.py on files of Karpathy's shape."""

import json

import pytest

from lib.data.pictures import PictureFolder
from scripts import prepare_captions
from tests.support import succeed


def karpathy(path, splits, coco):
    images = []
    for i, split in enumerate(splits):
        # Six captions, of which five count; line breaks and runs of blanks are one blank.
        sentences = [
            {"raw": f" caption\n {j}  of {i} "} | ({"sentid": 10 * i + j} if coco else {})
            for j in range(6)
        ]
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
    numbers = (out / "train_sentids.txt").read_text().split()
    assert numbers == [str(10 * i + j) for i in (1, 2, 13) for j in range(5)]
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


@pytest.fixture
def own(tmp_path):
    """Ten pictures of one's own, two in a subfolder with blanks, and a table of them."""
    names = [f"{i}.jpg" for i in range(8)] + ["my dogs/a b.PNG", "my dogs/c.jpeg"]
    (tmp_path / "pictures" / "my dogs").mkdir(parents=True)
    lines = []
    for i, name in enumerate(names):
        (tmp_path / "pictures" / name).touch()
        lines += [f"{name}#{k}\t sentence {k}  of {i}" for k in range(5)]
    (tmp_path / "t.txt").write_text("\n".join([*lines, ""]))
    return tmp_path, names, lines


def table(folder, *flags):
    command = ("--table", folder / "t.txt", "--images", folder / "pictures")
    return (*command, "--out", folder / "mine_precomp", *flags)


def test_a_table_of_ones_own(own, capsys):
    folder, names, _ = own
    prepare_captions.main([str(word) for word in table(folder)])
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "train: 7 images, 35 captions" in captured.out
    out = folder / "mine_precomp"
    mapping = json.loads((out / "pictures.json").read_text())
    assert sorted(mapping.values()) == sorted(names)
    assert mapping["my_dogs_a_b"] == "my dogs/a b.PNG"
    pictures = PictureFolder(folder / "pictures", out / "pictures.json")
    seen = []
    for split, count in (("train", 7), ("dev", 1), ("test", 2)):
        ids = (out / f"{split}_ids.txt").read_text().split()
        captions = (out / f"{split}_caps.txt").read_text().splitlines()
        assert len(ids) == count
        for position, image_id in enumerate(ids):
            number = names.index(mapping[image_id])
            expected = [f"sentence {k} of {number}" for k in range(5)]
            assert captions[5 * position : 5 * position + 5] == expected
            assert pictures.find(image_id).is_file()
        seen += ids
    assert sorted(seen) == sorted(mapping)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    prepare_captions.main([str(word) for word in table(folder)])  # the same dealing again
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}
    assert "with another content" in refusal(*table(folder, "--seed", "1"))


def test_pictures_with_fewer_or_more_sentences(own, capsys):
    folder, _, lines = own
    (folder / "pictures" / "alone.jpg").touch()
    few = [line for line in lines if not line.startswith("3.jpg") or "#0" in line or "#4" in line]
    (folder / "t.txt").write_text("\n".join([*few, "4.jpg\tone more"]))
    prepare_captions.main([str(word) for word in table(folder)])
    told = capsys.readouterr().err
    assert "1 pictures have fewer than five sentences; theirs are repeated" in told
    assert "1 pictures have more than five sentences" in told
    assert "1 pictures of " in told
    captions = "".join(
        (folder / "mine_precomp" / f"{split}_caps.txt").read_text()
        for split in ("train", "dev", "test")
    )
    zero, four = "sentence 0 of 3\n", "sentence 4 of 3\n"
    assert zero + four + zero + four + zero in captions
    assert "one more" not in captions


def test_bad_tables(own):
    folder, _, lines = own
    path = folder / "t.txt"
    for text, message in (
        ("", "holds no line"),
        ("0.jpg a dog", "line 1 is '0.jpg a dog', expected a picture's file name, a tab"),
        ("0.jpg\t \n", "line 1 has no sentence"),
        ("image,caption\n0.jpg,a dog,wet\n", "line 2 has 3 cells, expected image and cap"),
        ('image,caption\n0.jpg,"a "wet" dog"\n', "line 2 is no CSV"),
        ("image,caption\n,a dog\n", "line 2 has no picture"),
        ("image_name| comment_number| comment\n0.jpg| a dog\n", "between |"),
        ("0.jpg\ta\nx.jpg\tb", "names 1 pictures that are not in"),
        ("0.jpg\ta\n1.jpg\tb", "2 pictures cannot be dealt out"),
    ):
        path.write_text(text)
        assert message in refusal(*table(folder))
    (folder / "pictures" / "0.png").touch()
    path.write_text("\n".join([*lines, "0.png\ta"]))
    assert "have the same id, 0; rename one" in refusal(*table(folder))
    assert "no such folder of pictures" in refusal(*table(folder, "--images", folder / "none"))
    path.unlink()
    assert "cannot be read as UTF-8" in refusal(*table(folder))
    assert refusal("--table", path, "--out", folder / "mine_precomp") == 2
    assert refusal(*table(folder, "--dev", "0.5", "--test", "0.5")) == 2
    assert refusal(*table(folder, "--dev", "nan")) == 2
    assert not (folder / "mine_precomp").exists()


def test_forms_of_tables(own):
    """Kaggle's CSV of Flickr8K, Flickr30K's lines with bars, and COCO's captions say the same."""
    folder, names, lines = own
    pairs = [(n.partition("#")[0], s.strip()) for n, s in (line.split("\t") for line in lines)]
    prepare_captions.main([str(word) for word in table(folder)])
    out = folder / "mine_precomp"
    wanted = {path.name: path.read_bytes() for path in out.iterdir()}
    quoted = "".join(f'{n},"{s}"\n' for n, s in pairs)
    bars = "".join(f"{n}| {i % 5}| {s}\n" for i, (n, s) in enumerate(pairs))
    for text in (f"image,caption\n{quoted}", f"image_name| comment_number| comment\n{bars}"):
        (folder / "t.txt").write_text(text)
        prepare_captions.main([str(word) for word in table(folder)])
        assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted
    images = [{"id": i, "file_name": n, "width": 2, "height": 2} for i, n in enumerate(names)]
    known = [{"image_id": names.index(n), "id": 0, "caption": s} for n, s in pairs]
    (folder / "c.json").write_text(json.dumps({"images": images, "annotations": known}))
    words = ["--coco", "c.json", "--images", "pictures", "--out", "mine_precomp"]
    prepare_captions.main([w if w.startswith("--") else str(folder / w) for w in words])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted


def test_commas_and_quotes_of_a_csv(own):
    folder, names, _ = own
    rows = [f'{names[0]},"a dog , ""wet"" , runs ."\n', *(f"{n},a cat\n" for n in names[1:])]
    (folder / "t.txt").write_text("image,caption\r\n" + "".join(rows))
    prepare_captions.main([str(w) for w in table(folder, "--only", "test")])
    captions = (folder / "mine_precomp" / "test_caps.txt").read_text().splitlines()
    assert captions[:5] == ['a dog , "wet" , runs .'] * 5
    assert len(captions) == 50
    assert not (folder / "mine_precomp" / "train_ids.txt").exists()


def test_a_data_set_s_own_lists(own, capsys):
    folder, _, _ = own
    flickr = ("Flickr_8k.trainImages.txt", "dev_ids.txt", "test_ids.txt")
    for name, ids in zip(flickr, ("3.jpg\n1.jpg", "0", "7\n5"), strict=True):
        (folder / name).write_text(ids)
    prepare_captions.main([str(w) for w in table(folder, "--lists", folder)])
    assert "5 pictures with sentences are in no list and are left out" in capsys.readouterr().err
    out = folder / "mine_precomp"
    assert (out / "train_ids.txt").read_text().split() == ["3", "1"]
    assert (out / "train_caps.txt").read_text().startswith("sentence 0 of 3\n")
    (folder / "dev_ids.txt").write_text("0\nnone")
    told = refusal(*table(folder, "--lists", folder))
    assert "the lists name 1 pictures that have no sentence: none" in told
    (folder / "dev_ids.txt").write_text("0\n5")
    assert "5 occurs twice" in refusal(*table(folder, "--lists", folder))
    (folder / "dev_ids.txt").unlink()
    told = refusal(*table(folder, "--lists", folder))
    assert "has neither dev_ids.txt nor Flickr_8k.devImages.txt" in told
    assert "no such folder of lists" in refusal(*table(folder, "--lists", folder / "none"))


def test_bad_files(tmp_path):
    path, out = tmp_path / "d.json", tmp_path / "out"
    command = ("--karpathy", path, "--out", out)
    assert "cannot be read" in refusal(*command)
    for text in ("{", "[]", '{"images": []}', '{"images": [{"filename": 3}]}', '{"images": 3}'):
        path.write_text(text)
        assert "Karpathy's" in refusal(*command)
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
