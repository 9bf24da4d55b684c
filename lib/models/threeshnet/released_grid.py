"""VSE-infinity's released grid checkpoints: a backbone in front of its image encoder.

The image state is ``backbone.resnet.*``, most of it again as ``backbone.base.*`` and
``backbone.top.*``, and ``image_encoder.*``; ``opt`` tells the backbone and the size of pictures."""

from typing import Any

import torch

from lib.models.common.backbone import Backbone, build_network
from lib.models.common.backbone_weights import HEAD, our_name, second_name, single_names, theirs
from lib.models.common.end_to_end import BACKBONE
from lib.models.family import Plain, State
from lib.models.threeshnet.config import SOURCES, Config, source_of

ENCODER = "image_encoder."
BASE_SIZE = 256  # pixels of a side that ``opt.input_scale_factor`` multiplies
CLASSES = 1000  # of the classifier that a file carries and nothing uses


def settings_of(opt: dict[str, Any]) -> dict[str, Any]:
    """What the options say of the ``model`` section. Raises ValueError: they name no backbone."""
    source = opt.get("backbone_source")
    if source not in SOURCES:
        raise ValueError(
            f"its options name the backbone {source!r}, expected one of {', '.join(SOURCES)}"
        )
    backbone, weights, pixels = SOURCES[source]
    return {"backbone": backbone, "backbone_weights": weights, "backbone_pixels": pixels}


def features_of(opt: dict[str, Any]) -> Plain:
    """What the options say of the ``features`` section: the pictures' size; all cells are kept."""
    factor = float(opt.get("input_scale_factor", 1))
    if not 0.125 <= factor <= 16:  # NaN too
        raise ValueError(f"its options have the input_scale_factor {factor}")
    size = round(BASE_SIZE * factor)
    return {"type": "images", "image_size": size, "grid_size": None, "drop_scheme": "vse_infinity"}


def split(image: State) -> tuple[State, State, Plain]:
    """The backbone's state under our names, the encoder's under the release's, and the classifier
    that the way back wants. Raises ValueError: two names of one tensor differ."""
    states: dict[str, State] = {BACKBONE: {}, ENCODER: {}, "": {}}
    for key, value in image.items():
        prefix = next(p for p in states if key.startswith(p))
        states[prefix][key.removeprefix(prefix)] = value
    network = single_names(states[BACKBONE])
    both = [f"resnet.{name}" for name in network]
    both += [second_name(name) for name in network if name not in HEAD]
    if missing := [key for key in both if key not in states[BACKBONE]]:
        raise ValueError(f"it lacks {BACKBONE}{missing[0]}")
    head = {name: network.pop(name, None) for name in HEAD}
    channels = tuple(states[ENCODER]["fc.weight"].shape)[1:]
    for name, shape in zip(HEAD, ((CLASSES, *channels), (CLASSES,)), strict=True):
        found = None if head[name] is None else tuple(head[name].shape)
        if found != shape:
            raise ValueError(f"{BACKBONE}resnet.{name} has the shape {found}, expected {shape}")
    backbone = {our_name(name): value for name, value in network.items()}
    return backbone, states[ENCODER] | states[""], head


def fresh_backbone(config: Config) -> State:
    """The backbone's state as the model has it, without values."""
    assert config.backbone is not None
    with torch.device("meta"):
        return Backbone(build_network(config.backbone)).state_dict()


def released_name(key: str) -> str:
    """The first released name of one of a backbone's tensors."""
    return f"{BACKBONE}resnet.{theirs(key)}"


def joined(config: Config, backbone: State, encoder: State, head: Plain) -> State:
    """The released image state, without ``module.``; a classifier of zeros where there is none."""
    network = {theirs(name): value for name, value in backbone.items()}
    if not head:
        head = dict(zip(HEAD, (torch.zeros(CLASSES, config.img_dim), torch.zeros(CLASSES)),
                        strict=True))  # fmt: skip
    state = {f"{BACKBONE}resnet.{name}": value for name, value in (network | head).items()}
    state |= {f"{BACKBONE}{second_name(name)}": value for name, value in network.items()}
    return state | {f"{ENCODER}{name}": value for name, value in encoder.items()}


def options(config: Config, image_size: int) -> Plain:
    """The options that say what the settings say."""
    return {
        "backbone_source": source_of(config),
        "input_scale_factor": image_size / BASE_SIZE,
        "precomp_enc_type": "backbone",
    }
