"""Training from pixels: what is seen of a picture, what of the backbone learns, and when."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

import eval as eval_script
from lib.checkpoint import load_checkpoint, load_model
from lib.config import load_config
from lib.data.augmentation import Window
from lib.data.dataset import TrainingPairs, image_loader, training_loader
from lib.data.split import open_split
from lib.errors import InputError
from lib.released_checkpoint import save_released
from lib.training.loop import Run
from lib.training.optim import loss_factor, rate_factor, set_rates
from tests.support import ROOT, fit, same

FROM_PIXELS = [  # with 3SHNet's parts, so that its arrays are seen through the window too
    "model.residual=true",
    "model.segmentation=true",
    "features.image_size=64",
    "features.crop=0.6",
    "features.flip=0.5",
    "model.img_dim=512",
    "train.frozen_stages=2",
    "train.backbone_lr_scale=0.3",
]
SOME = Window(0.13, 0.31, 0.71, 0.98, mirrored=True)


@pytest.fixture
def pixels(settings, tmp_path):
    """A function that loads the tiny config of training from pixels with further overrides."""

    def load(*overrides):
        out = f"run.out={tmp_path / 'run'}"
        words = [*settings, out, *FROM_PIXELS, *overrides]
        return load_config(ROOT / "configs" / "scenes_vse_infinity_grid.yaml", words)

    return load


def test_a_batch_is_a_function_of_seed_epoch_and_caption(pixels):
    settings = pixels("features.drop=0.4")
    run = Run(settings, resume=False, overwrite=False)
    pairs = TrainingPairs(run.train_split, run.train_captions, settings)
    batches = np.arange(20).reshape(2, 10)

    def load(epoch, workers):
        loader = training_loader(pairs, epoch, batches, workers, pin=False)
        return [
            (i.pixels, i.cells, i.arrays["semantic"], i.arrays["seg_map"], i.arrays["categories"])
            for i, _ in loader
        ]

    alone, shared, later = load(0, 0), load(0, 2), load(1, 0)
    for one, other in zip(alone, shared, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    for which in range(4):
        assert not torch.equal(alone[0][which], later[0][which])
    present = alone[0][2].flatten(2).sum(dim=2) > 0
    assert (alone[0][4] > 0).tolist() == present.tolist()
    whole = next(iter(image_loader(run.train_split, [range(2)], 0, pin=False)))
    assert whole.cells.all()
    assert (alone[0][4][0] <= whole.arrays["categories"][0]).all()


@pytest.mark.parametrize("grid_size", ["null", "1"])
def test_cells_are_those_of_the_map(pixels, grid_size):
    model = Run(pixels(f"features.grid_size={grid_size}"), False, False).model
    split = open_split(pixels(f"features.grid_size={grid_size}"), "dev")
    batch = next(iter(image_loader(split, [range(3)], 0, pin=False)))
    side = batch.cells.shape[1]
    assert side == (2 if grid_size == "null" else 1)
    if side == 2:
        batch.cells[1] = torch.tensor([[False, True], [False, True]])
    with torch.no_grad():
        cells = model.cells(batch)
        maps = model.backbone(model.normalisation.normalise(batch.pixels))
    for image in range(3):
        rows = adaptive_avg_pool2d(maps[image], side).permute(1, 2, 0)[batch.cells[image]]
        assert cells.lengths[image] == len(rows)
        torch.testing.assert_close(cells.features[image, : len(rows)], rows)
        assert cells.features[image, len(rows) :].abs().sum() == 0


def parts(run):
    """The backbone's parts, one vector each: stem, four stages, and all BatchNorm statistics."""
    backbone = run.model.backbone
    modules = (backbone.stem, *backbone.stages)
    vectors = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in modules]
    statistics = [b.flatten().float() for name, b in backbone.named_buffers()]
    return [*(v.clone() for v in vectors), torch.cat(statistics).clone()]


def changed(before, after):
    return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]


def test_heads_learn_first_then_the_late_stages(pixels):
    run = Run(pixels("train.epochs=1"), resume=False, overwrite=False)
    fresh, head = parts(run), run.model.family.image_encoder.projection.weight.detach().clone()
    run.fit(["test"])
    assert changed(fresh, parts(run)) == [False] * 6
    assert not torch.equal(head, run.model.family.image_encoder.projection.weight)
    resumed = fit(pixels("train.epochs=2"), resume=True)
    assert changed(fresh, parts(resumed)) == [False, False, False, True, True, False]
    rates = {group["name"]: group["lr"] for group in resumed.optimizer.param_groups}
    assert rates["image"] == pytest.approx(1e-3)
    assert rates["backbone"] == pytest.approx(1e-3 * resumed.config.train.backbone_lr_scale)
    assert not any(module.training for module in resumed.model.backbone.modules())


def test_a_backbone_that_learns_from_nothing_learns_whole(pixels):
    run = Run(pixels("train.epochs=1", "train.backbone_epoch=0", "train.frozen_stages=0"), 0, 0)
    fresh = parts(run)
    run.fit(["test"])
    assert changed(fresh, parts(run)) == [True] * 5 + [False]  # all but the statistics
    assert run.train_split.extractors == {}  # pictures have no extractor


def test_the_loss_is_warmed_up_and_rates_are_not(pixels):
    settings = pixels("train.backbone_epoch=2", "train.decay_epoch=3", "train.decay=0.1").train
    steps = [(1, 0.5), (2, 0.0), (2, 0.25), (2, 0.75), (3, 0.0)]
    found = [loss_factor(epoch, share, settings, backbone=True) for epoch, share in steps]
    assert found == [1, 0, 0.25, 0.75, 1]
    assert [rate_factor(epoch, settings) for epoch, _ in steps] == [1, 1, 1, 1, 0.1]
    # Precomputed features know no warm-up.
    assert {loss_factor(epoch, share, settings, backbone=False) for epoch, share in steps} == {1}
    assert loss_factor(0, 0.0, pixels("train.backbone_epoch=0").train, backbone=True) == 1


def test_a_step_scales_the_gradient_by_the_warm_up_and_not_the_loss(pixels):
    run = Run(pixels("train.clip=1e9"), resume=False, overwrite=False)
    pairs = TrainingPairs(run.train_split, run.train_captions, run.config)
    images, texts = next(iter(training_loader(pairs, 0, [np.arange(8)], 0, pin=False)))
    found = []
    set_rates(run.optimizer, run.base_rates, 0.0)
    for factor in (1.0, 0.25):
        torch.manual_seed(0)  # of dropout
        run.loss_factor = factor
        loss, _ = run._step(images, texts)
        gradients = [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
        found.append((loss, torch.stack(gradients).norm().item()))
    (loss, whole), (again, scaled) = found
    assert again == pytest.approx(loss)
    assert scaled == pytest.approx(0.25 * whole)


@pytest.mark.slow
def test_resumed_is_uninterrupted_and_scored(pixels, world, tmp_path, capsys):
    whole = fit(pixels("train.epochs=3", f"run.out={tmp_path / 'whole'}"))
    fit(pixels("train.epochs=2"))
    halves = fit(pixels("train.epochs=3"), resume=True)
    same(load_checkpoint(whole.run_dir.last), load_checkpoint(halves.run_dir.last))
    # Pictures that have moved, and a split that training never saw.
    shutil.copytree(world / "scenes_precomp" / "images", tmp_path / "elsewhere")
    flags = ["--data_path", str(world), "--dataset", "scenes", "--workers", "0"]
    flags += ["--checkpoint", str(whole.run_dir.best), "--json", str(tmp_path / "r.json")]
    capsys.readouterr()
    eval_script.main(flags)
    here = capsys.readouterr().out
    assert "3SHNet images on scenes, 10 images" in here
    assert "10 pictures, read at 64 x 64 pixels, 2 x 2 cells" in here
    eval_script.main([*flags, "--features_folder", str(tmp_path / "elsewhere")])
    assert capsys.readouterr().out == here
    flags += ["--images", str(tmp_path / "elsewhere")]
    eval_script.main(flags)
    assert capsys.readouterr().out == here
    with pytest.raises(SystemExit, match="name the same folder; leave one out"):
        eval_script.main([*flags, "--features_folder", "elsewhere"])
    with pytest.raises(SystemExit, match="reads pictures, not grid features"):
        eval_script.main([*flags, "--features", "grid"])
    raw = torch.load(whole.run_dir.best, weights_only=True)
    del raw["config"]["model"]["backbone_pixels"]  # which earlier code did not have
    torch.save(raw, tmp_path / "old.pth")
    with pytest.raises(InputError, match="earlier code resized and cut in other ways; train anew"):
        load_checkpoint(tmp_path / "old.pth")
    with pytest.raises(InputError, match=r"no place for a backbone \(resnet18\) with this model"):
        save_released(tmp_path / "x.pth", load_checkpoint(whole.run_dir.best))


def test_settings_that_do_not_go_together(pixels, settings, tmp_path):
    with pytest.raises(InputError, match="needs a network that makes their grids"):
        pixels("model.backbone=null")
    with pytest.raises(InputError, match=r"a backbone reads pictures, features\.type=images"):
        load_config(ROOT / "configs" / "scenes_grid.yaml", ["model.backbone=resnet18"])
    with pytest.raises(InputError, match=r"model\.backbone is 'vgg', expected one of resnet18"):
        pixels("model.backbone=vgg")
    with pytest.raises(InputError, match=r"resnet18 gives 512 channels; set model\.img_dim=512"):
        Run(pixels("model.img_dim=2048"), False, False)
    weights = tmp_path / "X-101.pth"
    torch.save({"model": {"backbone.stem.conv1.weight": torch.zeros(1)}}, weights)
    with pytest.raises(InputError, match="are of resnext101_32x8d, not of resnet18"):
        Run(pixels(f"model.backbone_weights={weights}"), False, False)


def test_pictures_that_cannot_be_used(pixels, world, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(world / "scenes_precomp" / "images", folder)
    settings = pixels(f"features.folder={folder}", "train.epochs=1")
    (folder / "000002.png").write_bytes((folder / "000002.png").read_bytes()[:900])
    run = Run(settings, resume=False, overwrite=False)  # reads the first alone
    with pytest.raises(InputError, match=r"000002\.png: cannot be decoded"):
        run.fit(["test"])
    (folder / "000003.png").unlink()
    with pytest.raises(InputError, match=r"image 000003: no picture named 000003"):
        Run(settings, resume=False, overwrite=True)
    with pytest.raises(InputError, match="no such folder of pictures"):
        Run(pixels("features.folder=none"), resume=False, overwrite=True)


TIMM = ("model.backbone=timm:test_resnet", "model.img_dim=96", "train.frozen_stages=0",
        "model.backbone_weights=random", "train.backbone_epoch=1")  # fmt: skip


def test_a_backbone_of_timm_learns_as_others_do(pixels):
    before = Run(pixels(*TIMM), False, False)
    assert before.model.normalisation == before.model.backbone.normalisation()
    first = {k: v.clone() for k, v in before.model.state_dict().items() if k.startswith("backbone")}
    run = fit(pixels(*TIMM))  # two epochs: it learns in the second
    after = run.model.state_dict()
    changed = {name for name, value in first.items() if not torch.equal(after[name], value)}
    assert changed == {n for n in first if n.endswith((".weight", ".bias"))}  # no statistics
    checkpoint = load_checkpoint(run.run_dir.best)
    assert checkpoint.config.model.backbone == "timm:test_resnet"
    model, _ = load_model(checkpoint, run.run_dir.best)
    assert torch.equal(model.backbone.network.conv1[0].weight, checkpoint.model[
        "backbone.network.conv1.0.weight"])  # fmt: skip


def test_settings_that_timm_s_networks_do_not_have(pixels):
    with pytest.raises(InputError, match=r"train\.frozen_stages is 2, but timm:test_resnet has no"):
        pixels(*TIMM, "train.frozen_stages=2")
    with pytest.raises(InputError, match=r"model\.backbone is 'timm:', expected one of resnet18"):
        pixels(*TIMM, "model.backbone=timm:")
    with pytest.raises(InputError, match="knows no such model"):
        Run(pixels(*TIMM, "model.backbone=timm:test_resnett"), False, False)


def test_a_map_too_small_for_the_grid(pixels):
    for backbone in (TIMM, ("train.frozen_stages=0",)):
        with pytest.raises(InputError, match=r"gives 2 x 2 cells of pictures of 64 x 64 .* 4 x 4;"):
            Run(pixels(*backbone, "features.grid_size=4"), False, False)


def test_highlight_maps_are_those_of_the_cells(pixels):
    run = Run(pixels(), resume=False, overwrite=False)
    (batch,) = image_loader(run.dev_split, [range(3)], 0, False)
    found = run.model.explain(batch)
    with torch.no_grad():
        expected = run.model.family.explain(run.model.eval().cells(batch))
    assert found.regions.keys() == expected.regions.keys() >= {"VSeM: agreement"}
    for name, values in found.regions.items():
        torch.testing.assert_close(values, expected.regions[name])
    torch.testing.assert_close(found.maps["VSpM: attention"], expected.maps["VSpM: attention"])
