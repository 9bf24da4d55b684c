"""CMSEI's scores of all pairs, beside a naive loop over captions.

python benchmarks/pairs.py [--images 200] [--captions 1000] [--naive 50]

The paper's sizes (1,024 values, 36 regions; 8 to 20 pieces of words), random encodings, on the CPU
or --device cuda. The naive loop takes one caption at a time with all images, as Eq. 5-9 stand:
each pair's attended vectors go through W1, W2 and W3. It is timed on the first captions only, on
which both have to give the same scores. On a GPU, the rate is also that of COCO 5K's 125 million
pairs.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from benchmarks.measure import machine, median_rate, seconds
from lib.config import PRECISIONS, ModelConfig
from lib.device import arithmetic
from lib.models.cmsei import CPU_CHUNK_GB, Fragments, Interaction

REGIONS, WIDTH = 36, 1024
COCO_PAIRS = 5000 * 25_000


def encodings(count: int, low: int, high: int, device: str, seed: int) -> Fragments:
    """Random sets of ``low`` to ``high`` rows."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(low, high + 1, (count,), generator=generator)
    mask = torch.arange(high) < lengths[:, None]
    rows = torch.randn(count, high, WIDTH, generator=generator) * mask[..., None]
    plain, salient = torch.randn(2, count, WIDTH, generator=generator)
    return Fragments(rows, mask, plain, salient).to(torch.device(device))


def naive(model: Interaction, images: Fragments, texts: Fragments) -> Tensor:
    """(n, m) float32."""
    columns = []
    for caption in range(len(texts)):
        words = texts.rows[caption][texts.mask[caption]]
        words = words.expand(len(images), -1, -1)
        rows = images.rows
        for part in model.rounds:
            similarity = normalize(rows, dim=-1) @ normalize(words, dim=-1).transpose(1, 2)
            attended = (model.smoothing * similarity).softmax(dim=-1) @ words
            fused = part.fusion(rows * part.gate(attended).tanh() + part.shift(attended))
            rows = fused.relu() + rows
        gate = (model.importance(rows) * texts.plain[caption]).sigmoid()
        out = (gate * rows + rows).mean(dim=1) + images.salient
        columns.append(cosine_similarity(out, words.mean(dim=1)))
    return torch.stack(columns, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--captions", type=int, default=1000)
    parser.add_argument("--naive", type=int, default=50, help="captions that the naive loop gets")
    parser.add_argument("--repeats", type=int, default=3, help="in turns, on the naive captions")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    print(machine())
    torch.manual_seed(0)
    model = Interaction(ModelConfig(embed_size=WIDTH)).to(args.device)
    memory = 1e9 * (CPU_CHUNK_GB if args.device == "cpu" else 8)
    images = encodings(args.images, REGIONS, REGIONS, args.device, 0)
    texts = encodings(args.captions, 8, 20, args.device, 1)
    few = texts[: args.naive]

    def ours(texts: Fragments) -> Tensor:
        with arithmetic(torch.device(args.device), args.precision):
            return model(images, texts, memory)

    with torch.inference_mode():
        deviation = (ours(few) - naive(model, images, few)).abs().max().item()
        if args.precision == "fp32" and deviation > 1e-5:
            sys.exit(f"error: scores deviate by {deviation:.1e}")
        rates: dict[str, list[float]] = {"ours": [], "naive": []}
        for _ in range(args.repeats):
            pairs = args.images * len(few)
            rates["ours"].append(pairs / seconds(lambda: ours(few)))
            rates["naive"].append(pairs / seconds(lambda: naive(model, images, few)))
        started = time.perf_counter()
        ours(texts)[0, 0].item()
        whole = time.perf_counter() - started
    middle = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    print(f"scores deviate by at most {deviation:.0e}")
    print(
        f"| CMSEI I-T, {args.images} x {args.captions:,} pairs, {args.precision} | "
        f"{whole:.0f} s whole; {median_rate(rates['ours'])} pairs/s | "
        f"{median_rate(rates['naive'])} pairs/s, on {len(few)} captions | "
        f"{middle['ours'] / middle['naive']:.2f} x | at least 5 x |"
    )
    hours = COCO_PAIRS / (args.images * args.captions / whole) / 3600
    print(f"COCO 5K's 125 million pairs at the whole's rate: {hours:.2f} hours")


if __name__ == "__main__":
    main()
