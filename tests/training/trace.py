"""What two epochs of training do, step by step, on a tiny world.

``tests/golden/training_trace.json`` holds it as the code before the families did it, which trained
as the release does. It is recorded again only when the recipe changes on purpose:

python -m tests.training.trace
"""

import json
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import get_total_norm

import lib.training.loop as loop
import lib.training.losses as losses
from lib.config import from_dict
from lib.demo.small_bert import write_small_bert
from tests.support import GOLDEN

TRACE = GOLDEN / "training_trace.json"
IMAGES = {"train": 64, "dev": 1004}  # dev is ranked on its first 1,000
REGIONS, WIDTH, CATEGORIES, MAP = 6, 16, 5, 8
SIGHTS = ["dog", "cat", "cow", "hen", "bus", "car", "cup", "hat", "bed", "box", "fox", "owl"]
PLACES = ["here", "there", "inside", "outside", "above", "below"]


def write_world(root: Path) -> None:
    """Pictures whose features say which two words their captions are about."""
    folder = root / "f30k_precomp"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(12)
    words = generator.standard_normal((len(SIGHTS) + len(PLACES), WIDTH)).astype(np.float32)
    for name, count in IMAGES.items():
        sight = generator.integers(len(SIGHTS), size=count)
        place = generator.integers(len(PLACES), size=count)
        meaning = words[sight] + words[len(SIGHTS) + place]
        noise = generator.standard_normal((count, REGIONS, WIDTH)).astype(np.float32)
        np.save(folder / f"{name}_ims.npy", meaning[:, None] + 0.5 * noise)
        labels = generator.integers(CATEGORIES, size=(count, MAP, MAP))
        shares = np.eye(CATEGORIES, dtype=np.float32)[labels[:, :7, :7]].transpose(0, 3, 1, 2)
        np.save(folder / f"{name}_segmentations.npy", shares)
        np.save(folder / f"{name}_seg_maps.npy", labels.astype(np.float32))
        np.save(folder / f"{name}_cat_onehots.npy", shares.any(axis=(2, 3)).astype(np.float32))
        lines = [
            f"a {SIGHTS[a]} {' and '.join(['it is'] * times)} {PLACES[b]} {' '.join(str(i))}"
            for i, (a, b) in enumerate(zip(sight, place, strict=True))
            for times in range(1, 6)
        ]
        (folder / f"{name}_caps.txt").write_text("".join(f"{line}\n" for line in lines))
        (folder / f"{name}_ids.txt").write_text("".join(f"{name}{i}\n" for i in range(count)))
    bert = folder / "bert"
    write_small_bert(bert, folder / "train_caps.txt", hidden=32, layers=1)
    config = json.loads((bert / "config.json").read_text())
    # Processors draw dropout in different ways.
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (bert / "config.json").write_text(json.dumps(config))


def settings(root: Path) -> dict:
    """The paper's recipe, with both its changes of course after the first epoch."""
    bert = str(root / "f30k_precomp" / "bert")
    sizes = {"img_dim": WIDTH, "embed_size": 32, "categories": CATEGORIES, "map_size": MAP}
    return {
        "data": {"root": str(root), "dataset": "f30k", "workers": 0},
        "features": {"regions": REGIONS},
        "model": {"family": "threeshnet", "bert": bert} | sizes,
        "train": {"epochs": 2, "batch_size": 32, "lr": 5e-3, "decay_epoch": 1, "sum_epochs": 1},
        "run": {"device": "cpu", "out": str(root / "run")},
    }


@dataclass
class Recorder:
    """Listens to a run through the functions that its loop calls."""

    steps: list[dict] = field(default_factory=list)
    epochs: list[dict] = field(default_factory=list)

    def listen(self, patch: "object") -> None:
        """Replace the loop's functions by ones that note down what passes."""
        plain_loss, plain_clip = losses.triplet_loss, loop.clip_grad_norm_
        plain_metrics, plain_step = loop.retrieval_metrics, loop.Run._step
        plain_finish = loop.Run._finish_epoch

        def step(run: loop.Run, images: object, texts: object) -> object:
            self.steps.append(
                {
                    "rates": {g["name"]: g["lr"] for g in run.optimizer.param_groups},
                    "images": images.indices.tolist(),
                    "captions": texts.indices.tolist(),
                    "rows": images.lengths.tolist(),
                    "ids": zlib.crc32(texts.ids.numpy().tobytes()),
                }
            )
            result = plain_step(run, images, texts)
            self.steps[-1]["moved"] = get_total_norm(
                [p.detach() for p in run.model.parameters()]
            ).item()
            return result

        def loss(scores: torch.Tensor, margin: float, hardest: bool, *rest: object) -> object:
            found = plain_loss(scores, margin, hardest, *rest)
            form = "hardest" if hardest else "sum"
            self.steps[-1] |= {"form": form, "margin": margin, "loss": found.item()}
            return found

        def clip(parameters: object, largest: float) -> object:
            parameters = list(parameters)
            before = plain_clip(parameters, largest)
            after = get_total_norm([p.grad for p in parameters if p.grad is not None])
            self.steps[-1] |= {"norm": before.item(), "clipped": after.item()}
            return before

        def metrics(scores: np.ndarray, owner: np.ndarray) -> object:
            self.epochs.append({"shape": list(scores.shape), "owners": int(owner.sum())})
            return plain_metrics(scores, owner)

        def finish(run: loop.Run, found: object, *rest: object) -> object:
            result = plain_finish(run, found, *rest)
            sides = (found.i2t, found.t2i)
            self.epochs[-1]["recalls"] = [r for s in sides for r in (s.r1, s.r5, s.r10)]
            self.epochs[-1]["best"] = run.progress["best_epoch"]
            return result

        patch.setattr(losses, "triplet_loss", loss)
        patch.setattr(loop, "clip_grad_norm_", clip)
        patch.setattr(loop, "retrieval_metrics", metrics)
        patch.setattr(loop.Run, "_step", step)
        patch.setattr(loop.Run, "_finish_epoch", finish)


def record(root: Path, patch: "object") -> dict:
    """Train on the world in ``root``, (steps, epochs)."""
    recorder = Recorder()
    recorder.listen(patch)
    run = loop.Run(from_dict(settings(root), "trace"), resume=False, overwrite=False)
    run.fit(["test"])
    return {"steps": recorder.steps, "epochs": recorder.epochs}


if __name__ == "__main__":
    import pytest

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        world = Path(temporary) / "world"
        write_world(world)
        TRACE.write_text(json.dumps(record(world, patch), indent=1) + "\n")
    print(TRACE)
