"""Whether self-highlighting moves: VSeM's agreement, VSpM's attention, and what wrong input costs.

python benchmarks/highlights.py runs/f8k/region-0/model_best.pth --data_path data --dataset f8k

For a 3SHNet of ours. Per picture: the agreement that VSeM gates regions by, and how far it spreads
within a picture; the entropy of VSpM's attention over the label map (a uniform one has the largest)
and how much it differs between two regions of a picture (L1, from 0 to 2). Then rSum with each
segmentation array of another picture in place of its own: how much the model relies on it.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import Tensor

from lib.arguments import new_parser
from lib.batch import ImageBatch, concatenate
from lib.checkpoint import load_checkpoint, load_model
from lib.data.captions import CAPTIONS_PER_IMAGE, tokenise
from lib.data.dataset import image_loader, text_batches
from lib.data.split import open_split
from lib.errors import InputError, exit_on_error
from lib.evaluation.metrics import retrieval_metrics
from lib.models.threeshnet.highlights import AGREEMENT, ATTENTION
from lib.models.threeshnet.model import ThreeSHNet

BATCH = 32


def describe(model: ThreeSHNet, batches: list[ImageBatch]) -> None:
    """Print what both branches of a model do."""
    gates, entropies, distances = [], [], []
    for batch in batches:
        found = model.explain(batch)
        real = batch.mask
        if AGREEMENT in found.regions:
            gates += [gate[own] for gate, own in zip(found.regions[AGREEMENT], real, strict=True)]
        if ATTENTION in found.maps:
            for maps, own in zip(found.maps[ATTENTION].flatten(2), real, strict=True):
                entropies.append(torch.special.entr(maps[own]).sum(dim=1))
                distances.append((maps[own][:-1] - maps[own][1:]).abs().sum(dim=1))
    if gates:
        spread = torch.stack([gate.max() - gate.min() for gate in gates]).mean()
        found = torch.cat(gates)
        print(
            f"VSeM's agreement: mean {found.mean():.3f}, from {found.min():.3f} to "
            f"{found.max():.3f}; within a picture it spreads by {spread:.3f}"
        )
    if entropies:
        uniform = math.log(model.image_encoder.spatial.map_size**2)
        print(
            f"VSpM's attention: entropy {torch.cat(entropies).mean():.2f} of {uniform:.2f}; two "
            f"regions differ by {torch.cat(distances).mean():.2f} of 2"
        )


def rsum(model: ThreeSHNet, batches: list[ImageBatch], captions: Tensor) -> float:
    """rSum of the pictures of ``batches`` and all ``captions``, (5n, D) float32."""
    images = torch.cat([model.encode_images(batch) for batch in batches])
    scores = (images @ captions.T).numpy()
    return retrieval_metrics(scores, np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE).rsum


def exchanged(batches: list[ImageBatch], names: tuple[str, ...]) -> list[ImageBatch]:
    """The batches with those arrays of the next picture in place of each one's own."""
    arrays = {}
    for name in names:
        whole = torch.cat([batch.arrays[name] for batch in batches]).roll(1, dims=0)
        arrays[name] = whole.split([len(batch.indices) for batch in batches])
    return [
        replace(batch, arrays=batch.arrays | {name: arrays[name][number] for name in names})
        for number, batch in enumerate(batches)
    ]


def main(words: list[str] | None = None) -> None:
    """Probe the checkpoint of the command line, or of ``words`` instead of it."""
    parser = new_parser(__doc__)
    parser.add_argument("checkpoint", help="a checkpoint of a 3SHNet with segmentation")
    parser.add_argument("--data_path", default="data", help="folder that holds <dataset>_precomp/")
    parser.add_argument("--dataset", required=True, help="name of the dataset, as scenes")
    parser.add_argument("--split", default="test", help="which split to look at")
    args = parser.parse_args(words)
    with exit_on_error(), torch.inference_mode():
        checkpoint = load_checkpoint(args.checkpoint)
        model, tokenizer = load_model(checkpoint, args.checkpoint, args.data_path)
        if not isinstance(model, ThreeSHNet) or not model.image_encoder.segmentation:
            raise InputError(f"{args.checkpoint}: is no 3SHNet that reads segmentation")
        model.eval()
        update = {"root": args.data_path, "dataset": args.dataset}
        data = checkpoint.config.data.model_copy(update=update)
        config = checkpoint.config.model_copy(update={"data": data})
        split = open_split(config, args.split)
        count = len(split.image_ids)
        numbers = [range(count)[start : start + BATCH] for start in range(0, count, BATCH)]
        batches = list(image_loader(split, numbers, 0, False))
        texts = text_batches(tokenise(split.captions, tokenizer), len(split.captions), BATCH)
        encoded = concatenate([model.encode_texts(batch) for batch in texts])
        captions = encoded[torch.cat([batch.indices for batch in texts]).argsort()]
        describe(model, batches)
        print(f"rSum: {rsum(model, batches, captions):.1f}")
        inputs = tuple(batches[0].arrays)
        for names in [*((name,) for name in inputs), inputs]:
            found = rsum(model, exchanged(batches, names), captions)
            print(f"rSum with another picture's {', '.join(names)}: {found:.1f}")


if __name__ == "__main__":
    main()
