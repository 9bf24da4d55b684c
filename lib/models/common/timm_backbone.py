"""Backbones of timm, the library of image models: convolutional networks, whose last map is the
grid, and transformers, whose patch tokens are. Imported where ``timm:NAME`` is asked for alone;
timm is an optional extra."""

import difflib
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from lib.errors import InputError, first_line
from lib.models.common.backbone import AnyBackbone, Normalisation
from lib.models.common.efficientnet_names import timm_names
from lib.models.family import IMAGENET, TIMM
from lib.weights import read_state, require_same_shapes, shapes_of

try:
    import timm
    from timm.data.config import resolve_model_data_config
except ImportError as error:
    raise InputError(
        f"{TIMM}NAME needs timm, which is not installed ({first_line(error)}); install it with "
        "pip install -r requirements.txt"
    ) from error


class TimmBackbone(AnyBackbone):
    """One of timm's networks without its head."""

    def __init__(self, name: str, network: Any):
        """Wrap ``network``, timm's ``name``. Raises InputError: it gives no map."""
        super().__init__()
        self.name, self.network = name, network
        self.about = resolve_model_data_config(network)
        self.size: int = self.about["input_size"][-1]  # pixels of a side, unless asked for others
        self.channels = self.map_shape(self.size)[0]

    def normalisation(self) -> Normalisation:
        """What becomes of 8-bit RGB before this network."""
        return Normalisation(False, 1 / 255, tuple(self.about["mean"]), tuple(self.about["std"]))

    def map_shape(self, size: int) -> tuple[int, int, int]:
        """As :meth:`AnyBackbone.map_shape`."""
        try:
            return super().map_shape(size)
        except RuntimeError as error:  # some networks fail in a product of their own
            raise InputError(
                f"{TIMM}{self.name}: does not take pictures of {size} x {size} pixels "
                f"({first_line(error)})"
            ) from error

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32 -> (B, channels, h, w) float. Raises InputError: the network does
        not take pictures of this size, or gives no map."""
        height, width = pixels.shape[-2:]
        try:
            found = self.network.forward_features(pixels)
        except (AssertionError, AttributeError) as error:
            raise InputError(
                f"{TIMM}{self.name}: does not take pictures of {width} x {height} pixels "
                f"({first_line(error)})"
            ) from error
        shape = tuple(found.shape) if isinstance(found, Tensor) else ()
        channels = self.network.num_features
        if len(shape) == 4 and channels in (shape[1], shape[3]):
            last = shape[1] != channels or getattr(self.network, "output_fmt", "") == "NHWC"
            return found.permute(0, 3, 1, 2) if last else found
        if len(shape) == 3 and hasattr(self.network, "patch_embed"):
            tokens = found[:, getattr(self.network, "num_prefix_tokens", 0) :]
            rows, columns = self._patches(height, width)
            if rows * columns == tokens.shape[1]:
                return tokens.transpose(1, 2).unflatten(2, (rows, columns))
        raise InputError(
            f"{TIMM}{self.name}: gives no map that could be a grid (its features are {shape})"
        )

    def _patches(self, height: int, width: int) -> tuple[int, int]:
        side = getattr(self.network.patch_embed, "patch_size", max(height, width) + 1)
        rows, columns = side if isinstance(side, tuple) else (side, side)
        return height // rows, width // columns


def build_timm(name: str, hub: bool = False) -> TimmBackbone:
    """The network that timm calls ``name``, with its weights from the ``hub``, or random ones.
    Raises InputError: timm does not know it, it gives no map, or the hub cannot be reached."""
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise InputError(
            f"{TIMM}{name}: timm {timm.__version__} knows no such model"
            + (f"; did you mean {', '.join(TIMM + one for one in near)}?" if near else "")
        )
    try:
        # Transformers take other sizes than their own where timm can resample their positions.
        try:
            network = timm.create_model(name, pretrained=hub, num_classes=0, dynamic_img_size=True)
        except TypeError:
            network = timm.create_model(name, pretrained=hub, num_classes=0)
    except Exception as error:  # no network, no such tag, or a damaged file: it fails in many ways
        advice = "; pass a file of its weights (--weights FILE, model.backbone_weights=FILE)"
        raise InputError(
            f"{TIMM}{name}: is unavailable ({first_line(error)}){advice if hub else ''}"
        ) from error
    return TimmBackbone(name, network.eval())


def load_timm(name: str, weights: str) -> TimmBackbone:
    """Build the network and load its weights, all of them or none: ``imagenet`` for those that
    timm publishes, from the Hugging Face hub; ``random``; or a file, a state dict or safetensors,
    of timm's names or of efficientnet_lite_pytorch's. A classifier in it is left out. Raises
    InputError: the file is unsafe, damaged or of another network, or see :func:`build_timm`."""
    if weights in (IMAGENET, "random"):
        return build_timm(name, hub=weights == IMAGENET)
    backbone = build_timm(name)
    network = backbone.network
    kind = "file of a backbone's weights"
    given = {k.removeprefix("module."): v for k, v in read_state(weights, kind).items()}
    fresh = network.state_dict()
    try:
        given = timm_names(given, fresh)
    except ValueError as error:
        raise InputError(f"{weights}: is not of {TIMM}{name}: {error}") from error
    heads = _heads(network)
    given = {key: v for key, v in given.items() if key in fresh or key.split(".")[0] not in heads}
    # Files of older versions have no counters.
    counters = {k: v for k, v in fresh.items() if k.endswith("num_batches_tracked")}
    given = counters | given
    source = f"{weights}: is not of {TIMM}{name}"
    require_same_shapes(shapes_of(fresh), shapes_of(given), source)
    network.load_state_dict(given)
    return backbone


def _heads(network: Any) -> set[str]:
    """First names of a network's classifiers."""
    named: str | Iterable[str] = network.pretrained_cfg.get("classifier") or ()
    return {one.split(".")[0] for one in ([named] if isinstance(named, str) else named)}
