"""A CLIP and a SigLIP give transformers' own scores, through the programs that give all others'."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor

import eval as eval_script
import eval_cross_ensemble
import eval_ensemble
from lib.checkpoint import load_checkpoint, load_model
from lib.config import load_config
from lib.data.captions import read_captions
from lib.errors import InputError
from lib.evaluation.metrics import retrieval_metrics
from lib.evaluation.scores import SavedScores
from lib.models import FAMILIES
from lib.retriever import load
from lib.training.loop import Run
from scripts import search
from tests.support import fit

KINDS = ("clip", "siglip")


def files_of(world):
    folder = world / "scenes_precomp"
    ids = (folder / "test_ids.txt").read_text().split()
    captions = read_captions(folder / "test_caps.txt")
    return [folder / "images" / f"{i}.png" for i in ids], captions


def score(word, world, *flags):
    where = ["--data_path", str(world), "--dataset", "scenes", "--device", "cpu", "--workers", "0"]
    eval_script.main(["--hub", str(word), *where, *map(str, flags)])


def theirs(folder, pictures, captions):
    """Logits by transformers' own processor and model, as its documentation has it, and the scale
    and shift that made them of cosines."""
    model = AutoModel.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    fixed = model.config.model_type == "siglip"
    length = model.config.text_config.max_position_embeddings
    padding = {"padding": "max_length" if fixed else True, "max_length": length}
    images = [Image.open(path).convert("RGB") for path in pictures]
    given = processor(text=captions, images=images, truncation=True, return_tensors="pt", **padding)
    if fixed:  # trained without a mask
        given.pop("attention_mask", None)
    with torch.no_grad():
        logits = model(**given).logits_per_image.numpy()
    shift = model.logit_bias.item() if fixed else 0.0
    return logits, model.logit_scale.exp().item(), shift


@pytest.mark.parametrize("kind", KINDS)
def test_the_row_is_that_of_transformers_scores(hubs, kind, world, tmp_path, capsys):
    kept, record = tmp_path / "r.safetensors", tmp_path / "r.json"
    score(hubs[kind], world, "--save_results", kept, "--json", record)
    scores = SavedScores(kept)[:]
    logits, scale, shift = theirs(hubs[kind], *files_of(world))
    np.testing.assert_allclose(scores, (logits - shift) / scale, atol=2e-6)
    expected = retrieval_metrics(logits, np.arange(logits.shape[1]) // 5)
    found = json.loads(record.read_text())
    assert found["results"][0]["metrics"]["rsum"] == pytest.approx(expected.rsum, abs=1e-4)
    (member,) = found["members"]
    assert member["origin"]["features"] == "images" and member["origin"]["source"] == "zero-shot"
    printed = capsys.readouterr().out
    assert "read at 32 x 32 pixels, as the model's own" in printed
    assert "zero-shot: published weights, scored on scenes as they are" in printed


@pytest.mark.parametrize("kind", KINDS)
def test_batches_change_nothing(hubs, kind, world, tmp_path):
    one, other = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    score(hubs[kind], world, "--save_results", one, "--batch_size", 3)
    score(hubs[kind], world, "--save_results", other, "--batch_size", 50)
    np.testing.assert_allclose(SavedScores(one)[:], SavedScores(other)[:], atol=1e-6)


def test_it_is_averaged_with_a_run_of_ours(hubs, config, world, tmp_path, capsys):
    run = fit(config("train.epochs=1")).run_dir.path
    ours, clip, record = (tmp_path / name for name in ("o.safetensors", "c.safetensors", "e.json"))
    where = ["--device", "cpu", "--workers", "0"]
    eval_script.main(["--checkpoint", str(run), *where, "--save_results", str(ours)])
    score(hubs["clip"], world, "--save_results", clip)
    capsys.readouterr()
    words = [str(ours), str(clip), "--weights", "1", "3", "--json", str(record)]
    eval_ensemble.main(words)
    printed = capsys.readouterr().out
    assert "partly zero-shot: trained on scenes, and published weights, scored on" in printed
    assert f"member 2, weight 0.75: {clip} (" in printed
    mean = 0.25 * SavedScores(ours)[:] + 0.75 * SavedScores(clip)[:]
    expected = retrieval_metrics(mean, np.arange(mean.shape[1]) // 5)
    figures = json.loads(record.read_text())["results"][0]["metrics"]
    assert figures["rsum"] == pytest.approx(expected.rsum, abs=1e-4)
    # The same without files, on a data set that neither was trained on.
    shutil.copytree(world / "scenes_precomp", tmp_path / "other_precomp")
    data = ["--data_path", str(tmp_path), "--dataset", "other", *where]
    eval_cross_ensemble.main(["--checkpoints", str(run), str(hubs["clip"]), *data])
    assert "2 models on other, 10 images" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_program_and_in_a_search(hubs, kind, world, tmp_path, capsys):
    pictures, captions = files_of(world)
    model = load(hubs[kind], device="cpu")
    images = model.encode_images([pictures[0], Image.open(pictures[1]), *pictures[2:]])
    found = model.score(images, model.encode_texts(captions))
    logits, scale, shift = theirs(hubs[kind], pictures, captions)
    np.testing.assert_allclose(found, (logits - shift) / scale, atol=2e-6)
    kept = tmp_path / "e.safetensors"
    score(hubs[kind], world, "--save_embeddings", kept)
    capsys.readouterr()
    words = ["--checkpoint", str(hubs[kind]), "--embeddings", str(kept), "--device", "cpu"]
    search.main([*words, "--query", captions[7], "-k", "1"])
    best = pictures[int(found[:, 7].argmax())].stem
    assert best in capsys.readouterr().out


def test_it_is_not_trained(hubs):
    for folder in (hubs["clip"], "openai/none"):
        words = ["model.family=clip", f"model.hub={folder}", "features.type=images"]
        settings = load_config(None, words)
        with pytest.raises(InputError, match=r"model\.family is clip, .* does not train them"):
            Run(settings, resume=False, overwrite=False)
    with pytest.raises(InputError, match="reads pictures itself"):
        load_config(None, [*words, "model.backbone=resnet18"])


def damaged(hubs, tmp_path, kind="clip"):
    return shutil.copytree(hubs[kind], tmp_path / "damaged")


def test_what_is_broken_is_one_line(hubs, tmp_path):
    folder = damaged(hubs, tmp_path)

    def refused(message, word=folder):
        with pytest.raises(InputError, match=message):
            load_model(load_checkpoint(word), word)

    config = json.loads((folder / "config.json").read_text())

    def write(**changes):
        (folder / "config.json").write_text(json.dumps(config | changes))

    write(model_type="bert")
    refused(r"damaged: is of bert, expected one of a family that is known here")
    write(auto_map={"AutoModel": "x.Y"})
    refused("asks to run code of its own")
    write(text_config=config["text_config"] | {"vocab_size": 10**12})
    refused("asks for [0-9,]+ parameters")
    write(text_config=config["text_config"] | {"hidden_size": 48})
    refused("cannot be loaded|of other sizes")
    write()
    state = load_file(folder / "model.safetensors")
    removed = state.pop("text_projection.weight")
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    refused("its weights lack 1 tensors, among them text_projection.weight")
    save_file(state | {"text_projection.weight": removed}, folder / "model.safetensors")
    (folder / "preprocessor_config.json").write_text("[]")
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        load(folder, device="cpu")
    refused("expected hf://OWNER/NAME", "hf://a b")
    refused("hf://nobody/none: the hub cannot be reached, and the local cache", "hf://nobody/none")
    (tmp_path / "empty").mkdir()
    refused("empty: is of no model", tmp_path / "empty")


def test_padding_is_the_tokenizers_whatever_the_config_says(hubs, world, tmp_path):
    folder = shutil.copytree(hubs["siglip"], tmp_path / "siglip")
    config = json.loads((folder / "config.json").read_text())
    assert config["text_config"]["pad_token_id"] != 0
    config["text_config"]["pad_token_id"] = 0
    (folder / "config.json").write_text(json.dumps(config))
    texts = ["two dogs", "a cat"]
    one, other = (
        load(place, device="cpu").encode_texts(texts) for place in (folder, hubs["siglip"])
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"height": 48, "width": 48}, "crop_size": {"height": 48, "width": 48}},
        {"do_center_crop": False, "size": {"shortest_edge": 32}},
    ],
)
def test_pictures_of_another_size_than_the_model_s_are_refused(hubs, tmp_path, changes):
    folder = shutil.copytree(hubs["clip"], tmp_path / "clip")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(
        InputError, match=r"cannot be used \(it makes .* the model takes \(3, 32, 32"
    ):
        load(folder, device="cpu")


def test_a_name_is_its_last_part():
    family = FAMILIES["clip"]
    for hub, title in (("hf://google/siglip-base", "siglip-base"), ("openai/clip", "clip")):
        assert family.title(family.Config(hub=hub)) == title
