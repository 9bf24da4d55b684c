"""The authors' checkpoint layout of LHSC: its names and ours."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lib.models.family import Plain, ReleasedLayout, ReleasedModel, State
from lib.models.lhsc.config import GRAPH_LAYERS, PADDINGS, Config
from lib.models.lhsc.model import LHSC
from lib.models.lhsc.sentences import ATTENTIONS
from lib.models.lhsc.vocabulary import vocabulary_json
from lib.weights import shape_problems, shapes_of

SIDES = ("image", "text", "similarity")
# Ours -> a layer's inner name in the release; theta and phi are four layers each there.
GRAPH = {"subject": "fc1", "object": "fc2", "message": "g", "output": "W.0", "norm": "W.1"}
QUARTERS = {name: [name, *(f"{name}{i}" for i in (1, 2, 3))] for name in ("theta", "phi")}
CONVOLUTIONS = ("message", "output", *QUARTERS)  # of kernel 1
ATTENTION = {"query": "embedding_local.0", "key": "embedding_global.0", "value": "embedding_v.0"}
POOLING = {
    "each": "embedding_local.0",
    "mean": "embedding_global.0",
    "common": "embedding_common.0",
}
NORMS = {"slot_norm": "embedding_local.1", "mean_norm": "embedding_global.1"}
SIMILARITY = {
    "local": "sim_tranloc_w",
    "whole": "sim_tranglo_w",
    "filter": "cal_sim_base_atten.attn_sim_w",
    "filter_norm": "cal_sim_base_atten.bn",
    "output": "sim_eval_w",
}


def _modules() -> dict[str, tuple[int, tuple[str, ...], bool]]:
    """Our module -> its side, its released modules, and whether they are convolutions."""
    found: dict[str, tuple[int, tuple[str, ...], bool]] = {
        "image_encoder.projection": (0, ("fc",), False),
        "text_encoder.embedding": (1, ("embed",), False),
        "text_encoder.gru": (1, ("cap_rnn",), False),
    }
    for i in range(GRAPH_LAYERS):
        for ours, theirs in ({ours: [name] for ours, name in GRAPH.items()} | QUARTERS).items():
            names = tuple(f"IM_GCN_{i + 1}.{name}" for name in theirs)
            found[f"image_encoder.graph.{i}.{ours}"] = (0, names, ours in CONVOLUTIONS)
    for i in range(ATTENTIONS):
        for ours, name in ATTENTION.items():
            found[f"text_encoder.attention.layers.{i}.{ours}"] = (
                1,
                (f"W_att{i + 1}.{name}",),
                False,
            )
    for ours, name in (POOLING | NORMS).items():
        found[f"image_encoder.pooling.{ours}"] = (2, (f"v_global_w.{name}",), False)
    for ours, name in POOLING.items():
        found[f"text_encoder.pooling.{ours}"] = (2, (f"t_global_w.{name}",), False)
    for ours, name in SIMILARITY.items():
        found[f"similarity.{ours}"] = (2, (name,), False)
    return found


MODULES = _modules()


def _released(key: str) -> tuple[int, list[str], bool]:
    """Side and released names of one of our tensors, and whether they are of a convolution."""
    module, _, last = key.rpartition(".")
    side, names, convolution = MODULES[module]
    return side, [f"{name}.{last}" for name in names], convolution and last == "weight"


def _written(state: State) -> list[State]:
    """Our tensors under their released names, in three states."""
    states: list[State] = [{} for _ in SIDES]
    for key, tensor in state.items():
        side, names, convolution = _released(key)
        parts = tensor.chunk(len(names)) if len(names) > 1 else (tensor,)
        for name, part in zip(names, parts, strict=True):
            # Clones: a file keeps the whole storage of what it saves.
            whole = part[..., None] if convolution else part
            states[side][name] = whole.clone() if len(names) > 1 else whole
    return states


def _read(states: Sequence[State], keys: Iterator[str]) -> State:
    """The released tensors of our names."""
    found: State = {}
    for key in keys:
        side, names, convolution = _released(key)
        parts = [states[side][name] for name in names]
        whole: Tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
        found[key] = whole.squeeze(-1) if convolution else whole
    return found


def _sizes(state: State, name: str, dimensions: int) -> tuple[int, ...]:
    shape = tuple(state[name].shape)
    if len(shape) != dimensions:
        raise ValueError(f"{name} has the shape {shape}, expected {dimensions} dimensions")
    return shape


class Layout(ReleasedLayout):
    """Three states, image, text and similarity, whose names have no prefix."""

    def recognises(self, states: Sequence[State]) -> bool:
        """Whether one of the states has a graph of the image's, however many states there are."""
        return any(key.removeprefix("module.").startswith("IM_GCN_") for s in states for key in s)

    def read(self, states: Sequence[State], opt: dict[str, Any]) -> ReleasedModel:
        """Sizes come from shapes. The state of the tokenizer is the number of words, and the name
        of their file."""
        if len(states) != len(SIDES):
            raise ValueError(f"holds {len(states)} states, expected {', '.join(SIDES)}")
        if any("bert" in key for key in states[1]):
            raise ValueError("its text side is a BERT, which no released LHSC has")
        if prefixed := next((key for key in states[0] if key.startswith("module.")), None):
            raise ValueError(f"{prefixed} begins with module., as no tensor of LHSC does")
        padding = opt.get("padding", "released")  # the release knows no other, and does not say
        if padding not in PADDINGS:
            raise ValueError(f"opt.padding is {padding!r}, expected {' or '.join(PADDINGS)}")
        image, text, similarity = states
        size, img_dim = _sizes(image, "fc.weight", 2)
        words, word_dim = _sizes(text, "embed.weight", 2)
        config = Config(
            img_dim=img_dim,
            embed_size=size,
            word_dim=word_dim,
            sim_dim=_sizes(similarity, "sim_eval_w.weight", 2)[1],
            regions=_sizes(similarity, "v_global_w.embedding_local.1.weight", 1)[0],
            padding=padding,
        )
        with torch.device("meta"):
            expected = LHSC(config, words).state_dict()
        for name, wanted, state in zip(SIDES, _written(expected), states, strict=True):
            if problems := shape_problems(shapes_of(wanted), shapes_of(state)):
                raise ValueError(f"the {name} state: {problems}")
        file = f"{opt.get('data_name')}_vocab.json"
        named = re.fullmatch(r"\w[\w.-]{0,99}_vocab\.json", file) and opt.get("data_name")
        tokenizer = {"size": words, "file": file if named else None}
        state = _read(states, iter(expected))
        return ReleasedModel(config, state, shapes_of(expected), tokenizer=tokenizer)

    def write(
        self, config: Config, features: Plain, state: State, extras: Plain
    ) -> tuple[list[State], Plain]:
        """Exactly the release's tensors."""
        return _written(state), {
            "img_dim": config.img_dim,
            "embed_size": config.embed_size,
            "word_dim": config.word_dim,
            "sim_dim": config.sim_dim,
            "padding": config.padding,  # unread by the release
        }

    def released_name(self, key: str) -> str:
        """The first of them, where the release has several."""
        return _released(key)[1][0]

    def refusal(self, config: Config) -> str | None:
        """Backbones, BERT, ablations, and sizes that cannot be quartered."""
        if config.backbone is not None:
            return f"a backbone ({config.backbone})"
        if config.bert is not None:
            return "a BERT"
        whole = config.graph_layers == GRAPH_LAYERS and config.use_word_attention
        if not (whole and config.use_global and config.use_filter):
            return "an ablation of LHSC"
        return None if config.embed_size % 4 == 0 else "an embed_size that is no multiple of 4"

    def files(self, tokenizer: Plain, opt: Plain) -> dict[str, str]:
        """The vocabulary, under the name by which it is sought."""
        if "words" not in tokenizer:
            return {}
        return {f"{opt['data_name']}_vocab.json": vocabulary_json(tokenizer["words"])}
