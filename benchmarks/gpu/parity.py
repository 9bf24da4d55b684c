"""All golden cases on the CPU and on the device: how far each is from the public release's output.

python -m benchmarks.gpu.parity [--device cuda]

The cases are those of tests/golden/, which the tests compare on the CPU: 3SHNet's encoders, its
branches, pooling and training step; VSE-infinity, from regions and from pixels; LHSC's scores and
its training step. Deviations are the largest of any value, absolute, or relative to the largest
value recorded where that is not of unit size (marked); fp32 everywhere. Leaves with an error where
a case deviates on the device by more than ten times what the tests allow on a CPU."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.arguments import new_parser
from lib.batch import TextBatch, row_mask
from lib.device import precision_context, resolve_device
from lib.errors import exit_on_error
from lib.training.losses import triplet_loss
from tests.golden import fill
from tests.models.lhsc import released as lhsc
from tests.models.threeshnet import grid_release
from tests.support import GOLDEN, VSE_INFINITY, golden_images, golden_model

Pairs = dict[str, tuple[Any, np.ndarray]]  # what was found, and what was recorded
LHSC_LENGTHS, LHSC_TRAINING = [12, 7, 3, 1], [11, 9, 8, 6, 4, 2]


def without_dropout(model: torch.nn.Module) -> torch.nn.Module:
    """In training mode, but for dropout, which every processor draws otherwise."""
    for module in model.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


class Cases:
    """Each golden case on one device."""

    def __init__(self, device: torch.device, folder: Path):
        self.device, self.folder = device, folder
        self.images = np.load(GOLDEN / "image_encoder.npz")
        self.texts = np.load(GOLDEN / "text_encoder.npz")

    def model(self, **options: Any) -> Any:
        """3SHNet, through a released file."""
        return golden_model(self.folder / "m.pth", **options).to(self.device)

    def batch(self, case: str, lengths: str = "") -> Any:
        """Images of a case."""
        return golden_images(case, self.images[f"{lengths or case}/lengths"]).to(self.device)

    @torch.no_grad()
    def image_encoder(self) -> Pairs:
        """3SHNet's image embeddings, branches and pooling."""
        model, found = self.model(), {}
        for case in ("equal", "ragged", "grid", "grid_large"):
            embedded = model.encode_images(self.batch(case))
            found[f"images, {case}"] = embedded, self.images[f"{case}/embeddings"]
        batch = self.batch("ragged")
        real = batch.mask
        for name, value in zip(
            ("semantic", "spatial"), model.image_encoder.branches(batch)[1:], strict=True
        ):
            recorded = self.images[f"ragged/{name}_branch"]
            found[f"{name} branch"] = value[..., ::64][real], recorded[real.cpu().numpy()]
        rows = torch.from_numpy(fill.unit_rows("pool/features", (3, 20, 64))).to(self.device)
        lengths = torch.from_numpy(self.images["pool/lengths"]).long().to(self.device)
        pooled = model.image_encoder.pooling(rows, row_mask(lengths, 20))
        return found | {"pooling": (pooled, self.images["pool/pooled"])}

    @torch.no_grad()
    def variants(self) -> Pairs:
        """Images that are not normalised, and VSE-infinity."""
        plain, other = self.model(no_imgnorm=True), self.model(image_parts=VSE_INFINITY)
        batch = self.batch("ragged", "vse_infinity")
        return {
            "images, not normalised": (
                plain.encode_images(self.batch("ragged")),
                self.images["ragged_unnormalised/embeddings"],
            ),
            "VSE-infinity": (other.encode_images(batch), self.images["vse_infinity/embeddings"]),
        }

    @torch.no_grad()
    def captions(self) -> Pairs:
        """Caption embeddings, normalised or not."""
        lengths = torch.from_numpy(self.texts["captions/lengths"])
        ids = torch.from_numpy(fill.captions("captions", lengths.numpy()))
        batch = TextBatch(ids, lengths, torch.arange(len(lengths))).to(self.device)
        found = {}
        for case, options in (("captions", {}), ("captions_unnormalised", {"no_txtnorm": True})):
            embedded = self.model(**options).encode_texts(batch)
            found[case.replace("_", ", ")] = embedded, self.texts[f"{case}/embeddings"]
        return found

    def training(self) -> Pairs:
        """A training step's embeddings and loss, and the norm of all gradients together."""
        model = without_dropout(self.model())
        images = model.encode_images(self.batch("train"))
        texts = torch.from_numpy(fill.unit_rows("train/text", (6, 1024))).to(self.device)
        loss = triplet_loss(model.score(images, texts), margin=0.2, hardest=True)
        loss.backward()
        norms = [p.grad.norm() for p in model.image_encoder.parameters()]
        names = [key for key in self.images if key.startswith("train/grad_norm/")]
        recorded = np.sqrt(np.sum(np.square([self.images[name] for name in names])))
        return {
            "training, images": (images, self.images["train/embeddings"]),
            "training, loss": (loss, self.images["train/loss"]),
            "training, gradient norm": (torch.stack(norms).norm(), recorded),
        }

    @torch.no_grad()
    def pixels(self) -> Pairs:
        """VSE-infinity from pixels."""
        found = {}
        for source in ("imagenet_res50", "detector"):
            torch.save(grid_release.released(source), self.folder / "g.pth")
            _, model = grid_release.model_of(self.folder / "g.pth")
            batch = grid_release.golden_picture(source).to(self.device)
            embedded = model.to(self.device).encode_images(batch)[0]
            found[f"from pixels, {source}"] = embedded, grid_release.RECORDED[f"{source}/embedding"]
        return found

    @torch.no_grad()
    def lhsc(self) -> Pairs:
        """LHSC's scores, as released and with the release's padding."""
        found = {}
        for padding, file, name in (
            ("ignored", "lhsc", "scores"), ("released", "lhsc_training", "padded_scores"),
        ):  # fmt: skip
            model = lhsc.golden_model(padding).to(self.device)
            images = model.encode_images(lhsc.golden_images("lhsc", 3).to(self.device))
            texts = model.encode_texts(lhsc.golden_captions("lhsc", LHSC_LENGTHS).to(self.device))
            recorded = np.load(GOLDEN / f"{file}.npz")[name]
            found[f"LHSC, padding {padding}"] = model.score(images, texts), recorded
        return found

    def lhsc_training(self) -> Pairs:
        """LHSC's training step."""
        model = without_dropout(lhsc.golden_model("released")).to(self.device)
        images = model.encode_images(lhsc.golden_images("lhsc_train", 6).to(self.device))
        captions = lhsc.golden_captions("lhsc_train", LHSC_TRAINING).to(self.device)
        scores = model.score(images, model.encode_texts(captions))
        recorded = np.load(GOLDEN / "lhsc_training.npz")
        return {
            "LHSC, training scores": (scores, recorded["train_scores"]),
            "LHSC, training loss": (
                triplet_loss(scores, 0.2, hardest=True), recorded["train_loss"]
            ),
        }  # fmt: skip

    def all(self, few: bool) -> Iterator[Pairs]:
        """Each case's values; the ``few`` take seconds."""
        quick: list[Callable[[], Pairs]] = [self.image_encoder, self.lhsc]
        rest = [self.variants, self.captions, self.training, self.pixels, self.lhsc_training]
        for case in quick if few else quick + rest:
            with precision_context(self.device, "fp32"):
                yield case()


ALLOWED = 1e-5  # on a CPU, by the tests; 2e-5 where relative
FACTOR = 10  # a GPU sums in another order


def main(words: list[str] | None = None) -> None:
    """Compare what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="where to compute"
    )
    parser.add_argument("--few", action="store_true", help="the cases that take seconds")
    args = parser.parse_args(words)
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        devices = [torch.device("cpu"), resolve_device(args.device)]
        print("| case | recorded - CPU | recorded - device | CPU - device |\n|---|---|---|---|")
        worst = ""
        folder = Path(temporary)
        for one, other in zip(*(Cases(d, folder).all(args.few) for d in devices), strict=True):
            for name, (value, recorded) in one.items():
                found = [np.asarray(v.detach().cpu(), np.float64) for v in (value, other[name][0])]
                largest = float(np.abs(recorded).max())
                size = largest if largest > 1.5 else 1.0
                off = [float(np.abs(f - recorded).max()) / size for f in found]
                between = float(np.abs(found[0] - found[1]).max()) / size
                shown = f"{name}{', relative' if size > 1 else ''}"
                print(f"| {shown} | {off[0]:.1e} | {off[1]:.1e} | {between:.1e} |", flush=True)
                # Not "more than", which NaN never is.
                if not off[1] <= FACTOR * ALLOWED * (2 if size > 1 else 1):
                    worst = f"{name} deviates by {off[1]:.1e} on {devices[1]}"
        if worst:
            sys.exit(f"error: {worst}")


if __name__ == "__main__":
    sys.exit(main())
