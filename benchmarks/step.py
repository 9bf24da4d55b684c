"""A training step of 3SHNet with BERT: ours in bf16 beside the literal computation in float32.

python benchmarks/step.py --device cuda          # batch 256, BERT-base, as the paper trains COCO
python benchmarks/step.py --device cpu --batch_size 16 --precision fp32 --images 64

Prints step time and pictures/s of both, peak GPU memory, and the share of our step that waits for
data from the real loader.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from benchmarks import literal
from benchmarks.measure import compare, from_one, machine
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.batch import ImageBatch, TextBatch
from lib.config import PRECISIONS
from lib.data.dataset import TrainingPairs, training_loader
from lib.device import precision_context
from lib.errors import exit_on_error
from lib.training.loop import Run
from lib.training.losses import triplet_loss
from lib.training.optim import parameter_groups


def literal_step(run: Run, optimizer: AdamW, images: ImageBatch, texts: TextBatch) -> None:
    """An update with the literal encoders, in float32."""
    model, config = run.model, run.config.train
    with precision_context(run.device, "fp32"):
        one = literal.encode_images(model.image_encoder, images)
        other = literal.encode_texts(model.text_encoder, texts)
        loss = triplet_loss(one @ other.T, config.margin, True)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
    clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()


def peak(device: str, step: Callable[[], object]) -> str:
    """GPU memory in GB that a step takes at most."""
    if device == "cpu":
        return "-"
    torch.cuda.reset_peak_memory_stats()
    step()
    return f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"


def waiting(run: Run, batches: int) -> float:
    """Share of the time of some steps that waits for the loader, the first aside."""
    pairs = TrainingPairs(run.train_split, run.train_captions, run.config)
    keys = run._batches(0)[:batches]
    loader = training_loader(pairs, 0, keys, run.workers, run.device.type == "cuda")
    waited = worked = 0.0
    ready = time.perf_counter()
    for number, (images, texts) in enumerate(loader):
        arrived = time.perf_counter()
        run._step(images.to(run.device), texts.to(run.device))
        if number:
            waited += arrived - ready
            worked += time.perf_counter() - arrived
        ready = time.perf_counter()
    return waited / (waited + worked)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda", help="where to compute"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="bf16", help="of the products of ours"
    )
    parser.add_argument("--batch_size", type=from_one, default=256, help="pairs in a batch")
    parser.add_argument(
        "--images", type=from_one, default=2000, help="pictures of the split that is trained on"
    )
    parser.add_argument(
        "--repeats", type=from_one, default=7, help="measurements, in turns; their median counts"
    )
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name, images in (("train", args.images), ("dev", 10)):
            write_split(root, name, images)
        train = {"batch_size": args.batch_size, "precision": args.precision, "sum_epochs": 0}
        config = settings(root, write_bert(root / "bert"), **train, lr=1e-6)
        run = Run(config, False, False)
        run.model.to(args.device)
        run.device = torch.device(args.device)
        run.model.train()
        pairs = TrainingPairs(run.train_split, run.train_captions, config)
        batch = next(iter(training_loader(pairs, 0, run._batches(0)[:1], 0, pin=False)))
        images, texts = (part.to(run.device) for part in batch)
        plain = AdamW(
            parameter_groups(run.model, config.train), weight_decay=config.train.weight_decay
        )
        ways = (lambda: run._step(images, texts), lambda: literal_step(run, plain, images, texts))
        peaks = [peak(args.device, ways[0])]  # before the other optimizer has a state
        found = compare(*ways, args.repeats)
        run.optimizer.state.clear()
        peaks.append(peak(args.device, ways[1]))
        name = f"training step, batch {args.batch_size}, {args.precision} beside literal fp32"
        print(found.row(name, "at least 3 x", args.batch_size, "pictures"))
        both = zip(("ours", "literal"), (found.ours, found.literal), peaks, strict=True)
        for label, times, memory in both:
            print(f"{label}: {1e3 * statistics.median(times):.0f} ms per step, peak {memory}")
        share = waiting(run, min(20, len(run._batches(0))))
        print(f"waits for data: {100 * share:.1f}% of the step ({run.workers} loading processes)")


if __name__ == "__main__":
    with exit_on_error():
        main()
