"""What the checks of files cost: a full-size checkpoint read with and without them, a COCO-sized
split opened, and the fingerprint by which a resumed run notices changed data.

python benchmarks/checks.py [--images 113287] [--small]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from transformers import BertConfig, BertModel

from lib.arguments import new_parser
from lib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lib.config import Config, from_dict
from lib.data.split import open_split
from lib.models.threeshnet.model import ThreeSHNet
from lib.training.losses import build_loss
from lib.training.optim import build_optimizer
from lib.weights import read_torch


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few runs."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)


def write_checkpoint(path: Path, small: bool) -> None:
    """3SHNet around BERT-base, with AdamW's moments, as a run saves it."""
    config = Config()
    bert = BertConfig(num_hidden_layers=1) if small else BertConfig()
    model = ThreeSHNet(config.model, BertModel(bert))
    optimizer = build_optimizer(model, config.train, build_loss(config.train))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    training = {"optimizer": optimizer.state_dict(), "random": []}
    progress = {"epoch": 1, "step": 0, "updates": 1, "rsum": 0.0, "best_rsum": 0.0}
    progress |= {"best_epoch": 0, "extractors": {}, "splits": {}}
    about = {"progress": progress, "training": training}
    save_checkpoint(path, Checkpoint(config, model.state_dict(), **about))


def write_split(folder: Path, images: int) -> None:
    """A split of COCO's shapes, as sparse files."""
    folder.mkdir(parents=True)
    shapes = {"ims": (36, 2048), "segmentations": (133, 7, 7), "seg_maps": (64, 64)}
    for name, shape in (shapes | {"cat_onehots": (133,)}).items():
        with (folder / f"train_{name}.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (images, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 4 * images * int(np.prod(shape)))
    (folder / "train_caps.txt").write_text("a brown dog runs over the green grass\n" * 5 * images)
    (folder / "train_ids.txt").write_text("".join(f"{i}\n" for i in range(images)))


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=int, default=113_287, help="how many images the split has")
    parser.add_argument("--small", action="store_true", help="one layer of BERT, to try it out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "checkpoint.pth"
        write_checkpoint(path, args.small)
        plain = seconds(lambda: torch.load(path, map_location="cpu", weights_only=True))
        print(f"checkpoint of {path.stat().st_size / 1e9:.2f} GB: torch.load {plain:.2f} s")
        for what, action in (
            ("with its tensors looked at", lambda: read_torch(path, "checkpoint", verify=False)),
            ("and its checksums compared", lambda: read_torch(path, "checkpoint")),
            ("and its parts' types checked", lambda: load_checkpoint(path)),
        ):
            took = seconds(action)
            print(f"  {what:<30} {took:.2f} s, {took / plain:.2f} times")
        write_split(Path(name) / "coco_precomp", args.images)
        config = from_dict({"data": {"root": name, "dataset": "coco"}}, "benchmark")
        split = open_split(config, "train")
        opening, marking = seconds(lambda: open_split(config, "train")), seconds(split.fingerprint)
        print(f"split of {args.images:,} images: opened in {opening:.2f} s, its fingerprint for "
              f"--resume taken in {marking:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
