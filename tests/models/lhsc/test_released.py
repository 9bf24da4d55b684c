"""The authors' checkpoints: read as they are, to ours and back, exactly, or refused."""

import argparse
import json
import pickletools
import zipfile

import numpy as np
import pytest
import torch

from lib.checkpoint import Checkpoint, load_checkpoint, load_model, save_checkpoint
from lib.config import from_dict
from lib.errors import InputError
from lib.models import family_of
from lib.models.lhsc.config import Config
from lib.models.lhsc.model import LHSC
from lib.models.lhsc.released import Layout
from lib.models.lhsc.vocabulary import SPECIAL, Vocabulary, vocabulary_json
from scripts.convert_checkpoint import convert
from tests.models.lhsc import python2
from tests.models.lhsc.released import KEYS, SIDES, content
from tests.support import fail, succeed

WORDS = [*SPECIAL, *(f"word{number}" for number in range(KEYS["text"]["embed.weight"][0] - 4))]


def small_shapes(side):
    """Released names with sizes that are quick: D 8, K 5, 10 words, vectors of 4."""
    sizes = {1024: 8, 2048: 12, 256: 4 if side == "similarity" else 2}
    sizes |= {300: 6, 36: 5, 200: 10, 3072: 24}
    return {name: [sizes.get(n, n) for n in shape] for name, shape in KEYS[side].items()}


def small_content(change=None, **opt):
    states = []
    generator = torch.Generator().manual_seed(0)
    for side in SIDES:
        states.append({
            name: torch.rand(shape, generator=generator) if shape else torch.tensor(3)
            for name, shape in small_shapes(side).items()
        })  # fmt: skip
    options = argparse.Namespace(**{"data_name": "f30k_precomp", "margin": 0.2} | opt)
    raw = {"epoch": 31, "model": states, "best_rsum": 512.5, "opt": options, "Eiters": 36_256}
    if change is not None:
        change(raw)
    return raw


def read_back(path):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, weights_only=True)


def identical(one, other):
    assert one.keys() == other.keys()
    for key in one.keys() - {"model"}:
        assert one[key] == other[key]
    for a, b in zip(one["model"], other["model"], strict=True):
        assert a.keys() == b.keys()
        for name, tensor in a.items():
            assert (tensor.dtype, tensor.shape) == (b[name].dtype, b[name].shape), name
            assert torch.equal(tensor, b[name]), name


def command(source, target):
    return "python", "scripts/convert_checkpoint.py", source, target


@pytest.mark.slow
def test_full_size_by_python_2_to_ours_and_back(tmp_path):
    """The released sizes, in the legacy format, by the command line."""
    (folder := tmp_path / "released").mkdir()
    released, ours, back = folder / "model_best.pth.tar", tmp_path / "o.pth", tmp_path / "b.pth.tar"
    raw = content()
    python2.save(raw | {"model": [python2.module_state(state) for state in raw["model"]]}, released)
    assert not zipfile.is_zipfile(released)
    with released.open("rb") as file:
        opcodes = [code.name for _ in range(4) for code, _, _ in pickletools.genops(file)]
    assert "SHORT_BINSTRING" in opcodes
    assert "BINUNICODE" not in opcodes
    (folder / "f30k_precomp_vocab.json").write_text(vocabulary_json(WORDS))
    assert "our format, LHSC, from a released file" in succeed(*command(released, ours))
    assert load_checkpoint(ours).tokenizer == {"words": WORDS}
    printed = succeed(*command(ours, back))
    assert "b.pth.tar: the release's format, LHSC, from ours" in printed
    assert "f30k_precomp_vocab.json: belongs to it" in printed
    identical(raw, read_back(back))
    written = json.loads((tmp_path / "f30k_precomp_vocab.json").read_text())
    assert written == json.loads(vocabulary_json(WORDS))
    size = sum(t.numel() * t.element_size() for state in raw["model"] for t in state.values())
    assert back.stat().st_size < 1.01 * size  # no tensor is saved with the storage of another
    model, tokenizer = load_model(load_checkpoint(back), back)  # its vocabulary is beside it
    assert tokenizer.words == WORDS
    assert model.caption_batch == 100
    with pytest.raises(InputError, match="exists already"):
        convert(ours, back, {})


def test_what_is_read_of_a_file(tmp_path):
    python2.save(small_content(), path := tmp_path / "m.pth.tar")
    checkpoint = load_checkpoint(path)
    model = checkpoint.config.model
    assert (model.img_dim, model.embed_size, model.word_dim) == (12, 8, 6)
    assert (model.sim_dim, model.regions, model.padding) == (4, 5, "released")
    assert checkpoint.config.data.dataset == "f30k"
    assert checkpoint.tokenizer == {"size": 10, "file": "f30k_precomp_vocab.json"}
    assert checkpoint.released["Eiters"] == 36_256
    assert family_of(model).title(model) == "LHSC"


@pytest.mark.slow
def test_the_file_s_own_vocabulary_is_kept_in_our_format(tmp_path):
    torch.save(small_content(), source := tmp_path / "m.pth.tar")
    (given := tmp_path / "words.json").write_text(vocabulary_json([*SPECIAL, *"abcdef"]))
    error = fail(*command(source, tmp_path / "o.pth"))
    assert error.startswith(f"error: {source}: its vocabulary is missing: neither ")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "o.pth").exists()
    convert(source, tmp_path / "o.pth", {"vocab": str(given)})
    checkpoint = load_checkpoint(tmp_path / "o.pth")
    assert checkpoint.tokenizer == {"words": [*SPECIAL, *"abcdef"]}
    assert checkpoint.config.model.vocab is None
    (tmp_path / "f30k_precomp_vocab.json").write_text("mine")  # what is there is not replaced
    with pytest.raises(InputError, match=r"f30k_precomp_vocab\.json: exists already"):
        convert(tmp_path / "o.pth", tmp_path / "b.pth.tar", {})
    assert (tmp_path / "f30k_precomp_vocab.json").read_text() == "mine"
    assert not (tmp_path / "b.pth.tar").exists()


def our_run(**model):
    torch.manual_seed(0)
    sizes = {"img_dim": 12, "embed_size": 8, "word_dim": 6, "sim_dim": 4, "regions": 5}
    config = from_dict({"model": {"family": "lhsc"} | sizes | model}, "t")
    state = LHSC(config.model, len(WORDS)).state_dict()
    return Checkpoint(config, state, Vocabulary(WORDS).state(), {"epoch": 3, "best_rsum": 9.0})


@pytest.mark.parametrize("padding", ["ignored", "released"])
def test_our_run_goes_there_and_back(tmp_path, padding):
    run = our_run(padding=padding)
    save_checkpoint(tmp_path / "c.pth", run)
    convert(tmp_path / "c.pth", tmp_path / "r.pth.tar", {})
    convert(tmp_path / "r.pth.tar", tmp_path / "again.pth", {})
    again = load_checkpoint(tmp_path / "again.pth")
    assert again.config.model == run.config.model
    assert again.tokenizer == run.tokenizer
    assert all(torch.equal(value, again.model[name]) for name, value in run.model.items())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"graph_layers": 3}, "an ablation of LHSC"),
        ({"use_word_attention": False}, "an ablation of LHSC"),
        ({"use_global": False}, "an ablation of LHSC"),
        ({"use_filter": False}, "an ablation of LHSC"),
        ({"bert": "bert-base-uncased"}, "a BERT"),
        ({"backbone": "resnet50"}, r"a backbone \(resnet50\)"),
        ({"embed_size": 6}, "an embed_size that is no multiple of 4"),
    ],
)
def test_what_the_release_has_no_place_for(changes, told):
    assert told.replace("\\", "") == Layout().refusal(Config(**changes))
    assert Layout().refusal(Config()) is None


def without_similarity(raw):
    raw["model"] = raw["model"][:2]


def with_bert(raw):
    raw["model"][1] = {"bert.embeddings.word_embeddings.weight": torch.zeros(3, 3)}


def with_prefix(raw):
    raw["model"] = [{f"module.{name}": t for name, t in s.items()} for s in raw["model"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_similarity, "holds 2 states, expected image, text, similarity"),
        (with_bert, "its text side is a BERT, which no released LHSC has"),
        (lambda r: r["model"][0].pop("fc.weight"), "lacks fc.weight, which every released"),
        (lambda r: r["model"][0].pop("IM_GCN_2.theta1.bias"),
         r"the image state: 1 tensors missing: IM_GCN_2\.theta1\.bias"),
        (lambda r: r["model"][1].update(extra=torch.zeros(1)),
         "the text state: 1 tensors unexpected: extra"),
        (lambda r: r["model"][2].update({"sim_tranloc_w.bias": torch.zeros(7)}),
         r"the similarity state: .*sim_tranloc_w\.bias \(7,\) instead of \(4,\)"),
        (lambda r: r["model"][2].update({"v_global_w.embedding_local.1.weight": torch.zeros(())}),
         r"embedding_local\.1\.weight has the shape \(\), expected 1 dimensions"),
        (lambda r: r["model"][0].update({"fc.weight": torch.zeros(1, 2, 3)}),
         r"fc\.weight has the shape \(1, 2, 3\), expected 2 dimensions"),
        (with_prefix, r"module\.fc\.weight begins with module\., as no tensor of LHSC does"),
        (lambda r: r["opt"].__setattr__("padding", "x"),
         r"opt\.padding is 'x', expected released or ignored"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(tmp_path, change, message):
    torch.save(small_content(change), tmp_path / "m.pth.tar")
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(tmp_path / "m.pth.tar")
    assert str(error.value).startswith(str(tmp_path / "m.pth.tar"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", None, "a/b", "x" * 200, 7.5])
def test_a_foreign_name_of_a_vocabulary_is_no_path(name):
    raw = small_content()
    found = Layout().read(raw["model"], {"data_name": name})
    assert found.tokenizer["file"] in (None, "7.5_vocab.json")


def test_numbers_by_numpy_are_read(tmp_path):
    torch.save(small_content(best_rsum=np.float64(1.5)), tmp_path / "m.pth.tar")
    assert load_checkpoint(tmp_path / "m.pth.tar").released["opt"]["best_rsum"] == 1.5


def test_the_same_checkpoint_by_either_format(tmp_path):
    torch.save(small_content(), tmp_path / "new.pth.tar")
    python2.save(small_content(), tmp_path / "old.pth.tar")
    one, other = (load_checkpoint(tmp_path / f"{name}.pth.tar") for name in ("new", "old"))
    assert all(torch.equal(value, other.model[name]) for name, value in one.model.items())
    assert (one.config, one.released) == (other.config, other.released)
