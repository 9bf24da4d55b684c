"""What the campaign puts faults into: a tiny world, its BERT, runs and everything they write."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.campaign.server import program, run_forked

SIZES = ("--train", 12, "--dev", 5, "--test", 5, "--regions", 4, "--img_dim", 16, "--map_size", 8)


@dataclass(frozen=True)
class Shared:
    """The folder that all cases read and none may write to."""

    root: Path

    @property
    def data(self) -> Path:
        """The dataset's files."""
        return self.root / "scenes_precomp"

    @property
    def bert(self) -> Path:
        """Its BERT."""
        return self.data / "bert"

    @property
    def run(self) -> Path:
        """A finished run."""
        return self.root / "run"

    @property
    def checkpoint(self) -> Path:
        """The run's best model."""
        return self.run / "model_best.pth"

    @property
    def other(self) -> Path:
        """Another run's best model."""
        return self.root / "other" / "model_best.pth"

    @property
    def lhsc(self) -> Path:
        """A released LHSC; ``lhsc_vocab.json`` holds its words."""
        return self.root / "lhsc.pth.tar"

    def settings(self, out: Path) -> list[str]:
        """Overrides that make configs/scenes_region.yaml fit."""
        return [
            f"data.root={self.root}", "data.workers=0", "model.img_dim=16", "model.embed_size=16",
            "model.map_size=8", f"model.bert={self.bert}", "train.epochs=2", "train.batch_size=20",
            "train.sum_epochs=1", "run.device=cpu", f"run.out={out}",
        ]  # fmt: skip

    def train(self, out: Path, *more: str) -> list[str]:
        """The words of a training."""
        return ["train.py", "--config", "configs/scenes_region.yaml", *self.settings(out), *more]

    def evaluate(self, checkpoint: Path, *more: str | Path) -> list[str]:
        """The words of an evaluation."""
        words = ["eval.py", "--checkpoint", checkpoint, "--data_path", self.root, "--dataset"]
        words += ["scenes", "--device", "cpu", "--workers", "0", *more]
        return [str(word) for word in words]


def build(root: Path) -> Shared:
    """Make the world; every command of it must succeed."""
    shared = Shared(root)

    root.mkdir(parents=True, exist_ok=True)

    def command(*words: object) -> None:
        done = run_forked(program([str(word) for word in words]), root)
        if done.code:
            sys.exit(f"the world could not be made: {done.err}")

    command("-m", "lib.demo.scenes", "--out", shared.data, *SIZES)
    command("-m", "lib.demo.small_bert", "--captions", shared.data / "train_caps.txt", "--out",
            shared.bert, "--hidden", 32, "--layers", 1)  # fmt: skip
    command(*shared.train(shared.run))
    command(*shared.train(root / "other", "run.seed=1"))
    for run in (shared.run, root / "other"):
        command(*shared.evaluate(run / "model_best.pth", "--json", run / "results.json",
                                 "--save_results", run / "results.safetensors",
                                 "--save_embeddings", run / "embeddings.safetensors"))  # fmt: skip
    command("scripts/push_to_hub.py", shared.run, "--repo", "me/model", "--dry-run")
    ensemble = [run / "results.safetensors" for run in (shared.run, root / "other")]
    command("eval_ensemble.py", *ensemble, "--json", root / "ensemble.json")
    # The same pictures under another dataset's name, for cross-dataset evaluation.
    shutil.copytree(shared.data, root / "scenes_b_precomp")
    command("scripts/convert_checkpoint.py", shared.checkpoint, root / "released.pth")
    words = ["train.py", "--config", "configs/scenes_lhsc.yaml", "model.regions=4"]
    fitting = [s for s in shared.settings(root / "lhsc") if "map_size" not in s and "bert" not in s]
    command(*words, *fitting, "model.word_dim=8", "model.sim_dim=8", "train.epochs=1")
    command("scripts/convert_checkpoint.py", root / "lhsc" / "model_best.pth", shared.lhsc)
    (root / "scenes_precomp_vocab.json").rename(root / "lhsc_vocab.json")
    grid = ("features.type=grid", "features.folder=grids", "features.grid_size=null")
    command("scripts/pack_features.py", "--config", shared.run / "config.yaml", "--workers", 0,
            "--out", "packed", "--splits", "test", *grid)  # fmt: skip
    _result(root / "panoptic", shared)
    _graphs(root, shared)
    return shared


def _result(folder: Path, shared: Shared) -> None:
    """A panoptic result, instances and captions as COCO's files have them, of the test pictures."""
    from PIL import Image

    ids = (shared.data / "test_ids.txt").read_text().split()
    (folder / "png").mkdir(parents=True)
    (folder / "data").mkdir()
    segments = [{"id": 7, "category_id": 1, "area": 9}]
    annotations = []
    for image_id in ids:
        Image.fromarray(np.full((20, 20, 3), (7, 0, 0), np.uint8)).save(
            folder / "png" / f"{image_id}.png"
        )
        name = {"image_id": int(image_id), "file_name": f"{image_id}.png"}
        annotations.append({**name, "segments_info": segments})
    (folder / "panoptic.json").write_text(json.dumps({"annotations": annotations}))
    (folder / "data" / "test_ids.txt").write_text("\n".join(ids) + "\n")
    square = [[2, 2, 12, 2, 12, 12, 2, 12]]
    instances = {
        "images": [{"id": int(i), "file_name": f"{i}.png", "width": 20, "height": 20} for i in ids],
        "annotations": [
            {"id": 1, "image_id": int(ids[0]), "category_id": 1, "iscrowd": 0, "area": 100,
             "segmentation": square, "bbox": [2, 2, 10, 10]},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    (folder / "instances.json").write_text(json.dumps(instances))
    boxes = [{"image_id": i, "category_id": 1, "bbox": [2, 2, 10, 10], "score": 0.9} for i in ids]
    (shared.root / "boxes.json").write_text(json.dumps(boxes))
    labels = np.full((len(ids), 20, 20), 53, np.uint8)
    np.savez(shared.root / "labels.npz", labels=labels, ids=np.array(ids))


def _graphs(root: Path, shared: Shared) -> None:
    """Scene graphs, a table of captions and Karpathy's JSON."""
    lines = []
    for image_id in (shared.data / "test_ids.txt").read_text().split():
        graph = {"image_id": image_id, "boxes": [[0, 0, 50, 50]], "pairs": [], "scores": []}
        lines.append(json.dumps(graph))
    (root / "graphs.jsonl").write_text("\n".join(lines) + "\n")
    images = sorted((shared.data / "images").iterdir())[:6]
    table = "".join(f"{path.name}\tsentence {i} of it\n" for path in images for i in range(5))
    (root / "table.tsv").write_text(table)
    ids = (shared.data / "test_ids.txt").read_text().split()
    (root / "mapping.json").write_text(json.dumps({one: f"{one}.png" for one in ids}))
    sentences = [{"raw": f"a sentence {i}", "tokens": ["a"]} for i in range(5)]
    splits = ("train", "val", "test")
    karpathy = {"dataset": "flickr30k", "images": [
        {"filename": f"{i}.jpg", "imgid": i, "split": splits[i % 3], "sentences": sentences}
        for i in range(6)
    ]}  # fmt: skip
    (root / "karpathy.json").write_text(json.dumps(karpathy))
