"""eval.py --save_embeddings FOLDER: alone, by several processes, killed and resumed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import eval as eval_script
from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.evaluation import encode_shards
from lib.evaluation.embedding_shards import MANIFEST, EmbeddingShards, is_shards
from lib.evaluation.scores import read_embeddings
from lib.share import SLURM, TORCHRUN
from lib.training.loop import Run
from scripts import search
from tests.support import ROOT
from tests.test_outputs import holder


@pytest.fixture(scope="module")
def checkpoint(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "run"
    overrides = [*settings, f"run.out={out}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_region.yaml", overrides), False, False).fit(["test"])
    return out / "model_best.pth"


def words(checkpoint, world, folder, *flags):
    found = ["--checkpoint", checkpoint, "--data_path", world, "--dataset", "scenes"]
    found += ["--workers", "0", "--device", "cpu", "--batch_size", "2"]
    return [str(word) for word in (*found, "--save_embeddings", folder, *flags)]


def as_process(monkeypatch, rank, world_size, names=TORCHRUN):
    for name, value in zip(names, (rank, world_size, rank, world_size), strict=True):
        monkeypatch.setenv(name, str(value))


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def alone(checkpoint, world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "embeddings"
    eval_script.main(words(checkpoint, world, folder))
    return folder


def test_shards_are_the_embeddings_of_a_file(checkpoint, world, alone, tmp_path, capsys):
    eval_script.main(words(checkpoint, world, tmp_path / "e.safetensors", "--json", tmp_path / "a"))
    shards = EmbeddingShards(alone)
    images, captions, ids = read_embeddings(tmp_path / "e.safetensors")
    assert shards.image_ids == ids
    assert len(shards.shards) == 5
    np.testing.assert_allclose(shards.images[:], images, atol=1e-3)
    np.testing.assert_allclose(shards.captions[:], captions, atol=1e-3)
    one = capsys.readouterr().out
    eval_script.main(words(checkpoint, world, alone))  # everything is there: it is scored alone
    again = capsys.readouterr().out
    assert f"scored from the float16 vectors of {alone}" in again
    rows = [next(x for x in text.splitlines() if x.startswith("test, ")) for text in (one, again)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("names", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
def test_processes_share_the_shards(checkpoint, world, alone, tmp_path, monkeypatch, capsys, names):
    folder = tmp_path / "e"
    for rank in (1, 0, 2):
        as_process(monkeypatch, rank, 3, names)
        eval_script.main(words(checkpoint, world, folder, "--json", tmp_path / "r.json"))
        told = capsys.readouterr().out
        waits = f"process {rank + 1} of 3: its shards of {folder} are done; whoever finishes last"
        assert (waits in told) == (rank != 2)
        assert (tmp_path / "r.json").exists() == (rank == 2)
    assert files(folder) == files(alone)


def test_killed_and_resumed_by_another_number(
    checkpoint, world, alone, tmp_path, monkeypatch, capsys
):
    folder, plain, done = tmp_path / "e", encode_shards.encode_part, []

    def dies(*about):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(about)
        return plain(*about)

    monkeypatch.setattr(encode_shards, "encode_part", dies)
    as_process(monkeypatch, 0, 2)
    with pytest.raises(SystemExit):
        eval_script.main(words(checkpoint, world, folder))
    assert is_shards(folder)
    assert not (folder / MANIFEST).exists()
    encoded = []
    monkeypatch.setattr(encode_shards, "encode_part", lambda *a: encoded.append(a) or plain(*a))
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    eval_script.main(words(checkpoint, world, folder))
    assert len(encoded) == 4  # one of five was there
    assert f"{folder}: 1 of 5 shards are there already" in capsys.readouterr().out
    assert files(folder) == files(alone)


@pytest.fixture
def gallery(world, tmp_path):
    """A copy of the test split without captions."""
    folder = tmp_path / "gallery" / "scenes_precomp"
    shutil.copytree(world / "scenes_precomp", folder)
    for path in folder.glob("test_*"):
        path.rename(folder / f"holiday_{path.name.removeprefix('test_')}")
    (folder / "holiday_caps.txt").unlink()
    return folder.parent


def test_pictures_alone_are_embedded_and_not_scored(
    checkpoint, gallery, alone, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "e"
    own = "--split", "holiday"
    for rank in (1, 0):
        as_process(monkeypatch, rank, 2)
        eval_script.main(words(checkpoint, gallery, folder, *own))
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("process 2 of 2: its shards of")
    assert told[1:] == [
        f"process 1 of 2: {folder}: 10 pictures of holiday; there is no holiday_caps.txt, so "
        "nothing is scored"
    ]
    shards = EmbeddingShards(folder)
    assert shards.captions is None
    np.testing.assert_array_equal(shards.images[:], EmbeddingShards(alone).images[:])
    eval_script.main(words(checkpoint, gallery, folder, *own))
    assert "nothing is scored" in capsys.readouterr().out
    for flags in (("--json", tmp_path / "r.json"), ("--ci", "95"), ("--perturb", "words")):
        with pytest.raises(SystemExit, match=r"holiday_caps\.txt: no such file, though"):
            eval_script.main(words(checkpoint, gallery, tmp_path / "other", *own, *flags))
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit, match=r"holiday_caps\.txt: no such file"):
        eval_script.main(words(checkpoint, gallery, tmp_path / "e.safetensors", *own))
    assert not (tmp_path / "other").exists()


def test_what_another_launch_is_writing_stays(checkpoint, world, tmp_path, monkeypatch, capsys):
    """Whoever is refused has removed nothing, whatever it wanted to write."""
    folder, plain, done = tmp_path / "e", encode_shards.encode_part, []

    def dies(*about):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(about)
        return plain(*about)

    monkeypatch.setattr(encode_shards, "encode_part", dies)
    with pytest.raises(SystemExit):
        eval_script.main(words(checkpoint, world, folder))
    told = capsys.readouterr()
    assert f"{folder}: stopped; its finished shards stay, and the same command" in told.err
    for rank in (None, 0):  # the same share, and one of another launch
        if rank is not None:
            as_process(monkeypatch, rank, 2)
        with holder(folder, "encoding") as other:
            before = files(folder)
            assert len(before) > 5
            with pytest.raises(SystemExit, match="wait for"):
                eval_script.main(words(checkpoint, world, folder, "--embeddings_dtype", "float32"))
            assert files(folder) == before
            other.kill()


def test_finished_embeddings_are_kept(checkpoint, world, tmp_path, monkeypatch, capsys):
    """Other settings are refused; the same are scored, by the first process alone."""
    folder = tmp_path / "e"
    eval_script.main(words(checkpoint, world, folder, "--embeddings_dtype", "float32"))
    assert EmbeddingShards(folder).images.dtype == np.float32
    before = files(folder)
    with pytest.raises(SystemExit, match="holds finished embeddings of another dtype; remove"):
        eval_script.main(words(checkpoint, world, folder))
    with pytest.raises(
        SystemExit, match=r"a file's name, which ends in \.safetensors, or a folder's"
    ):
        eval_script.main(words(checkpoint, world, folder.with_name("e.safetensor")))
    flags = ("--embeddings_dtype", "float32", "--precision", "bf16")
    with pytest.raises(SystemExit, match="holds finished embeddings of another precision; remove"):
        eval_script.main(words(checkpoint, world, folder, *flags))
    assert files(folder) == before
    for rank in (1, 0):
        capsys.readouterr()
        as_process(monkeypatch, rank, 2)
        eval_script.main(words(checkpoint, world, folder, *flags[:2]))
        told = capsys.readouterr().out
        assert ("is finished; process 1 scores it" in told) == (rank == 1)


def test_what_is_no_folder(checkpoint, world, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(SystemExit, match="file: is there and holds no results"):
        eval_script.main(words(checkpoint, world, tmp_path / "file"))
    with pytest.raises(SystemExit, match="--embeddings_dtype is for --save_embeddings FOLDER"):
        given = tmp_path / "e.safetensors"
        eval_script.main(words(checkpoint, world, given, "--embeddings_dtype", "float16"))
    assert (tmp_path / "file").read_text() == "precious"


def test_those_of_another_checkpoint_are_not_searched(checkpoint, alone, tmp_path):
    other = load_checkpoint(checkpoint)
    other.progress["epoch"] = 7
    save_checkpoint(tmp_path / "other.pth", other)
    flags = ["--checkpoint", tmp_path / "other.pth", "--query", "a red clock", "--device", "cpu"]
    with pytest.raises(SystemExit, match=r"holds embeddings of another checkpoint than .*other"):
        search.main([str(word) for word in (*flags, "--embeddings", alone)])


def test_a_folder_is_another_once_its_weights_are(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = encode_shards.identity_of(str(tmp_path))
    (tmp_path / "seen.log").write_text("not the model's")
    assert encode_shards.identity_of(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert encode_shards.identity_of(str(tmp_path)) != before


def test_they_are_searched_where_they_lie(checkpoint, world, alone, capsys):
    flags = ["--checkpoint", checkpoint, "--query", "a red clock", "-k", "3", "--device", "cpu"]
    search.main([str(word) for word in (*flags, "--embeddings", alone)])
    shards, lines = EmbeddingShards(alone), capsys.readouterr().out.splitlines()
    assert lines[0] == "a red clock"
    assert all(line.split()[2] in shards.image_ids for line in lines[1:])


SLOWLY = """
import sys, time
import eval as program
from lib.evaluation import encode_shards
plain, begun = encode_shards.encode_part, []
def slowly(*about):
    begun.append(about)
    if len(begun) == 2:
        time.sleep(300)
    return plain(*about)
encode_shards.encode_part = slowly
program.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_one_of_four_is_killed(checkpoint, world, alone, tmp_path):
    """Four processes share five shards; the first is killed in its second, and the others finish
    theirs. Three processes then make what is missing."""
    folder, env = tmp_path / "e", dict(os.environ)
    command = words(checkpoint, world, folder)

    def start(rank, size, *program):
        told = {name: str(v) for name, v in zip(TORCHRUN, (rank, size, rank, size), strict=True)}
        return subprocess.Popen([sys.executable, *program, *command], cwd=ROOT, env=env | told)

    killed = start(0, 4, "-c", SLOWLY)
    running = [start(rank, 4, "eval.py") for rank in (1, 2, 3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    deadline = time.monotonic() + 60
    while len(list(folder.glob("0*.json"))) < 4 and time.monotonic() < deadline:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(list(folder.glob("0*.json"))) == 4
    assert not (folder / MANIFEST).exists()
    assert [process.wait(120) for process in [start(r, 3, "eval.py") for r in range(3)]] == [0] * 3
    assert files(folder) == files(alone)
