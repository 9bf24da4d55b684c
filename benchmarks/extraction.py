"""How many pictures a second each extractor takes, and what it adds to its bare network.

python benchmarks/extraction.py [--device cuda]

Photographs of 640 x 480 or so, again and again; random weights, which take the same time. Each
extraction command runs over few and over more pictures: the difference is free of its start. The
bare network runs on the same pictures, decoded and resized before. Segmentation is timed with a
model of the default one's size. Prints one Markdown row per extractor. With --tiny, pictures of 64
pixels and a small segmentation model only show that it runs.
"""

import contextlib
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor
from transformers import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    SwinConfig,
)
from transformers.utils.logging import disable_progress_bar

from lib.arguments import new_parser
from lib.data.pictures import decode
from lib.data.segmentation import CATEGORIES
from lib.errors import exit_on_error
from lib.extraction.categories import NAMES, upsnet_number
from lib.extraction.grid import load_extractor
from lib.extraction.panoptic_model import load_panoptic_model, small_model, to_tensor
from lib.extraction.regions import REGIONS, RegionExtractor, load_detector
from scripts import extract_grid, extract_regions, extract_segmentation

FEW = 3
TINY = 64  # pixels
EXTRACTORS = ("grid", "regions", "segmentation")


def save_panoptic(folder: Path, tiny: bool) -> None:
    """A random model of the size of facebook/mask2former-swin-base-coco-panoptic, or a tiny one."""
    labels = [NAMES[upsnet_number(position)] for position in range(CATEGORIES)]
    if tiny:
        for part in small_model(labels):
            part.save_pretrained(folder)
        return
    backbone = SwinConfig(
        image_size=384, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32],
        window_size=12, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=backbone,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    size = {"shortest_edge": 800, "longest_edge": 1333}
    Mask2FormerImageProcessor(size=size, ignore_index=255).save_pretrained(folder)


def prepare(source: list[Path], folder: Path, count: int) -> None:
    """``count`` pictures under new names, and a split of their ids."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "data"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        shutil.copy(source[i % len(source)], folder / "images" / f"{i}.jpg")
    (folder / "data" / "train_ids.txt").write_text("".join(f"{i}\n" for i in range(count)))


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes; its output is swallowed."""
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def extraction_seconds(
    main: Callable[[list[str]], None], flags: list[str], source: list[Path], folder: Path, more: int
) -> float:
    """Seconds per picture of an extraction command, its start left out."""
    seconds = []
    for count in (FEW, FEW + more):
        prepare(source, folder, count)
        words = ["--images", str(folder / "images"), "--data", str(folder / "data"), *flags]
        seconds.append(timed(lambda words=words: main(words)))
    return (seconds[1] - seconds[0]) / more


def bare_seconds(forward: Callable[[Tensor], object], inputs: list[Tensor], more: int) -> float:
    """Seconds per picture of a network alone, after one picture to warm up."""
    with torch.inference_mode():
        timed(lambda: forward(inputs[0]))
        return timed(lambda: [forward(inputs[i % len(inputs)]) for i in range(more)]) / more


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--images",
        type=Path,
        default=ROOT / "tests" / "photographs" / "images",
        help="folder of *.jpg to extract from",
    )
    parser.add_argument("--pictures", type=int, default=4, help="how many pictures per measurement")
    parser.add_argument(
        "--extractors",
        nargs="+",
        default=EXTRACTORS,
        choices=EXTRACTORS,
        help="which extractors to measure",
    )
    parser.add_argument("--repeats", type=int, default=3, help="measurements; their median counts")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute")
    args = parser.parse_args()
    disable_progress_bar()
    source = sorted(args.images.glob("*.jpg"))
    pictures = [decode(path) for path in source]
    side = TINY if args.tiny else None
    grid = load_extractor("random", shortest=side, longest=side)
    detector = load_detector("random")
    for model in (grid.backbone, detector.model):
        model.to(args.device)
    extractor = RegionExtractor(detector, grid, REGIONS)

    def regions(one: Tensor) -> object:
        size = torch.tensor([[one.shape[-1], one.shape[-2]]], dtype=torch.float32)
        return extractor(one, size.to(one.device))

    resized = [grid.preprocessing.resize(picture)[None].to(args.device) for picture in pictures]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        flags = ["--device", args.device, "--weights", "random"]
        if args.tiny:
            flags += ["--shortest", str(TINY), "--longest", str(TINY)]
        pixels = []
        if "segmentation" in args.extractors:
            save_panoptic(folder / "model", args.tiny)
            panoptic = load_panoptic_model(str(folder / "model"))
            panoptic.model.to(args.device)
            whole = [to_tensor(picture)[None] for picture in pictures]
            pixels = [
                panoptic.processor(
                    images=list(one.numpy()), return_tensors="pt", input_data_format="channels_last"
                )["pixel_values"].to(args.device)
                for one in whole
            ]
        cases = {
            "grid": (
                extract_grid.main, flags,
                lambda one: grid.backbone(grid.preprocessing.normalise(one)), resized,
            ),
            "regions": (extract_regions.main, [*flags, "--detector", "random"], regions, resized),
            "segmentation": (
                extract_segmentation.main,
                ["--device", args.device, "--model", str(folder / "model")],
                lambda one: panoptic.model(pixel_values=one), pixels,
            ),
        }  # fmt: skip
        print(
            f"{args.device}, {os.cpu_count()} cores, torch {torch.__version__}, "
            f"{torch.get_num_threads()} threads; median (least to most) of {args.repeats}\n\n"
            "| extractor | pictures/s | the bare network | with decoding, writing / bare |\n"
            "|---|---|---|---|"
        )
        for name in args.extractors:
            command, words, forward, inputs = cases[name]
            whole_times, bare_times = [], []
            for _ in range(args.repeats):
                whole_times.append(
                    extraction_seconds(command, words, source, folder / "case", args.pictures)
                )
                bare_times.append(bare_seconds(forward, inputs, args.pictures))
            if min(whole_times) <= 0:  # as with few tiny pictures
                print(f"| {name} | too short to tell | | |", flush=True)
                continue
            rates = [sorted(1 / t for t in times) for times in (whole_times, bare_times)]
            texts = [f"{statistics.median(r):.2f} ({r[0]:.2f} to {r[-1]:.2f})" for r in rates]
            ratio = statistics.median(rates[0]) / statistics.median(rates[1])
            print(f"| {name} | {texts[0]} | {texts[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        main()
