"""The image encoder beside its literal computation: forward, backward, and what training keeps.

python benchmarks/encoder.py forward      # pictures/s, evaluation
python benchmarks/encoder.py backward     # pictures/s, forward and backward in training
python benchmarks/encoder.py memory       # bytes kept for the backward pass, per picture

36 regions, the paper's sizes, float32 on the CPU, random weights. Both give the same embeddings and
gradients, which is checked first (1e-5, and 2e-3 of a gradient's norm).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor

from benchmarks import literal
from benchmarks.measure import compare, from_one, machine
from lib.arguments import new_parser
from lib.batch import ImageBatch
from lib.errors import exit_on_error
from lib.models.threeshnet.config import Config
from lib.models.threeshnet.model import ImageEncoder

REGIONS = 36
TOLERANCE = 1e-5
# Where two values of a set are equal but for rounding, either way may rank them first, and the
# gradient goes to the one or the other.
GRADIENT_TOLERANCE, NOISE = 2e-3, 1e-4


def random_batch(size: int, config: Config) -> ImageBatch:
    """Pictures of the paper's sizes; every fourth has fewer regions, as training drops some."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.full((size,), REGIONS)
    lengths[::4] = REGIONS - 7
    features = torch.randn(size, REGIONS, config.img_dim, generator=generator).relu()
    features[::4, REGIONS - 7 :] = 0
    shares = torch.rand(size, config.categories, config.cells, config.cells, generator=generator)
    present = (torch.rand(size, config.categories, generator=generator) < 0.05).float()
    side = config.map_size
    labels = torch.randint(0, config.categories, (size, side, side), generator=generator).float()
    semantic = shares**8 * present[..., None, None]
    arrays = {"semantic": semantic, "seg_map": labels, "categories": present}
    return ImageBatch(features, lengths, torch.arange(size), arrays)


def build(config: Config) -> ImageEncoder:
    """A random encoder without dropout, so that two computations of it can be compared."""
    torch.manual_seed(0)
    encoder = ImageEncoder(config)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return encoder


def gradients(encoder: ImageEncoder, embeddings: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Of the mean product with ``target``, by parameter."""
    encoder.zero_grad(set_to_none=True)
    (embeddings * target).sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}


def check(encoder: ImageEncoder, batch: ImageBatch, target: Tensor) -> str:
    """Largest deviations of embeddings and gradients; leaves where they are too large."""
    with torch.no_grad():
        deviation = (encoder(batch) - literal.encode_images(encoder, batch)).abs().max().item()
    ours = gradients(encoder, encoder(batch), target)
    theirs = gradients(encoder, literal.encode_images(encoder, batch), target)
    relative = max(
        ((ours[name] - grad).norm() / grad.norm()).item()
        for name, grad in theirs.items()
        if grad.norm() > NOISE
    )
    if deviation > TOLERANCE or relative > GRADIENT_TOLERANCE:
        sys.exit(f"error: embeddings deviate by {deviation:.1e}, gradients by {relative:.1e}")
    return f"embeddings deviate by at most {deviation:.0e}, gradients by {relative:.0e} of theirs"


def kept_bytes(forward: object, batch: ImageBatch, encoder: ImageEncoder) -> int:
    """What autograd keeps for the backward pass, weights and inputs aside, each storage once."""
    free = {t.untyped_storage().data_ptr() for t in (*encoder.parameters(), *encoder.buffers())}
    free |= {batch.features.untyped_storage().data_ptr()}
    kept: dict[int, tuple[Tensor, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in free:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())  # alive, so that none is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        embeddings = forward(batch)
    del embeddings
    return sum(size for _, size in kept.values())


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "what",
        choices=("forward", "backward", "memory"),
        help="what to measure: a forward pass, forward and backward, or memory",
    )
    parser.add_argument("--batch_size", type=from_one, default=64, help="pictures in a batch")
    parser.add_argument(
        "--repeats", type=from_one, default=7, help="measurements, in turns; their median counts"
    )
    args = parser.parse_args()
    config = Config()
    encoder, batch = build(config), random_batch(args.batch_size, config)
    target = torch.randn(args.batch_size, config.embed_size)
    print(machine())
    print(check(encoder, batch, target))

    def slow(batch: ImageBatch) -> Tensor:
        return literal.encode_images(encoder, batch)

    if args.what == "memory":
        kept = [kept_bytes(way, batch, encoder) / args.batch_size for way in (encoder, slow)]
        sizes = " | ".join(f"{size / 1e6:.2f} MB" for size in kept)
        ratio = kept[0] / kept[1]
        print(f"| activations per training picture | {sizes} | {ratio:.2f} of it | at most 0.7 |")
    elif args.what == "forward":
        encoder.eval()
        with torch.inference_mode():
            found = compare(lambda: encoder(batch), lambda: slow(batch), args.repeats)
        print(found.row("image encoder forward", "at least 1.8 x", args.batch_size, "pictures"))
    else:
        found = compare(
            lambda: gradients(encoder, encoder(batch), target),
            lambda: gradients(encoder, slow(batch), target),
            args.repeats,
        )
        name = "image encoder forward + backward"
        print(found.row(name, "at least 2 x", args.batch_size, "pictures"))


if __name__ == "__main__":
    with exit_on_error():
        main()
