"""Panoptic label maps from any model of the Hugging Face hub that knows COCO's 133 categories.

The paper used UPSNet, which no current PyTorch runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    AutoImageProcessor,
    AutoModelForUniversalSegmentation,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    SwinConfig,
)
from transformers.utils.hub import cached_file

from lib.errors import InputError, few, first_line
from lib.extraction.categories import COCO_NAMES, THINGS_COUNT, upsnet_labels
from lib.files import file_sha256, text_sha256
from lib.models.common.hub import refuse_code

DEFAULT = "facebook/mask2former-swin-base-coco-panoptic"
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")  # the first kind that is there is read
THRESHOLD = 0.5  # least probability of a segment's category
MOST = 1333  # pixels of the longer side; models see no more, and a photograph's masks take GB
LEAST, RIBBON = 32, 16  # pixels of a side; the longer one is at most so many times the shorter


@dataclass(frozen=True)
class PanopticModel:
    """A model, what prepares pictures for it, and whose weights it has."""

    model: nn.Module
    processor: Any  # of transformers; resizes and normalises, and reads the model's output
    positions: np.ndarray  # (133,) the model's label -> position in COCO's list
    name: str
    sha256: str | None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """All that decides what the model sees of a picture, as JSON keeps it."""
        sizes = {"most": MOST, "least": LEAST, "ribbon": RIBBON}
        return sizes | json.loads(self.processor.to_json_string())

    def labels(self, pictures: Tensor, threshold: float) -> list[np.ndarray]:
        """Label maps of pictures of one size, (B, H, W, 3) uint8 RGB: (H, W) uint8 UPSNet numbers
        each; segments whose category is less probable than ``threshold`` stay void, 255."""
        device = next(self.model.parameters()).device
        inputs = self.processor(
            images=list(pictures.numpy()), return_tensors="pt", input_data_format="channels_last"
        )
        names = [name for name in ("pixel_values", "pixel_mask") if name in inputs]
        with torch.inference_mode():
            outputs = self.model(**{name: inputs[name].to(device) for name in names})
        results = self.processor.post_process_panoptic_segmentation(
            outputs,
            threshold=threshold,
            target_sizes=[tuple(pictures.shape[1:3])] * len(pictures),
            # Stuff has no instances: what the model sees in pieces is one.
            label_ids_to_fuse=set(np.flatnonzero(self.positions >= THINGS_COUNT).tolist()),
        )
        return [self._numbers(result) for result in results]

    def _numbers(self, result: dict[str, Any]) -> np.ndarray:
        segments = result["segmentation"].cpu().numpy().astype(np.int64)
        positions = np.full(segments.shape, -1)
        for segment in result["segments_info"]:
            positions[segments == segment["id"]] = self.positions[segment["label_id"]]
        return upsnet_labels(positions)


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture -> (H, W, 3) uint8. A large picture is reduced, and a ribbon widened, whose
    shorter side processors would shrink to nothing; the arrays are relative to the sides."""
    scale = min(1.0, MOST / max(picture.size))
    least = max(LEAST, -(-round(max(picture.size) * scale) // RIBBON))
    width, height = (max(least, round(side * scale)) for side in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture))


def load_panoptic_model(name: str) -> PanopticModel:
    """Load a model and its processor by hub name, or from a folder of ``save_pretrained``;
    ``random`` is a small model that has learnt nothing, to try the rest. Raises InputError: it is
    unavailable, or does not know COCO's 133 categories."""
    if name == "random":
        model, processor = small_model(COCO_NAMES)
        model.eval().requires_grad_(False)
        positions = _positions(model.config.id2label, name)
        return PanopticModel(model, processor, positions, "random, seed 0", None)
    try:
        refuse_code(name)
        processor = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
        model, report = AutoModelForUniversalSegmentation.from_pretrained(
            name, output_loading_info=True, trust_remote_code=False
        )
        if report["missing_keys"]:  # transformers would leave them random
            missing = sorted(report["missing_keys"])
            raise ValueError(f"its weights lack {len(missing)} tensors, among them {missing[0]}")
    except Exception as error:  # damaged files fail in ways that transformers does not list
        raise InputError(
            f"{name}: no panoptic model found there ({first_line(error)}). Where the hub "
            "cannot be reached, pass --model FOLDER with config.json, preprocessor_config.json and "
            "model.safetensors"
        ) from error
    read = getattr(processor, "post_process_panoptic_segmentation", lambda: None)
    if "label_ids_to_fuse" not in signature(read).parameters:
        raise InputError(
            f"{name}: is a {type(model).__name__}, whose results are not read here; use a "
            "MaskFormer or Mask2Former"
        )
    model.eval().requires_grad_(False)
    # A folder may move, and stay the same model.
    shown = Path(name).name if Path(name).is_dir() else name
    positions = _positions(model.config.id2label, name)
    return PanopticModel(model, processor, positions, shown, _weights_sha256(name))


def _weights_sha256(name: str) -> str | None:
    """Of the only file of weights; of the checksums of several."""
    found = cached_file(name, "config.json")
    folder = Path(name) if found is None else Path(found).parent
    files = next((f for pattern in WEIGHTS if (f := sorted(folder.glob(pattern)))), [])
    checksums = [file_sha256(file) for file in files]
    return checksums[0] if len(checksums) == 1 else text_sha256(checksums) if checksums else None


def _positions(id2label: Any, name: str) -> np.ndarray:
    """The model's labels -> positions in COCO's list: by name, where names are given."""
    labels = {int(label): str(text) for label, text in id2label.items()}
    if len(labels) != len(COCO_NAMES):
        wanted = f"expected COCO's {len(COCO_NAMES)} panoptic ones"
        raise InputError(f"{name}: knows {len(labels)} categories, {wanted}")
    if all(text == f"LABEL_{label}" for label, text in labels.items()):
        return np.arange(len(labels))  # nameless: COCO's order, as all models of the hub have it
    position_of = {name: position for position, name in enumerate(COCO_NAMES)}
    if unknown := [text for text in labels.values() if text not in position_of]:
        raise InputError(
            f"{name}: knows {few(unknown)}, which are not among COCO's {len(COCO_NAMES)} panoptic "
            "categories"
        )
    return np.array([position_of[labels[label]] for label in range(len(labels))])


def small_model(labels: Sequence[str]) -> tuple[Any, Any]:
    """A small Mask2Former of random weights, seed 0, that sees several of ``labels``."""
    backbone: dict[str, Any] = {
        "image_size": 64, "embed_dim": 8, "depths": [1] * 4, "num_heads": [1, 1, 2, 2],
        "window_size": 4, "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=SwinConfig(**backbone), hidden_dim=32, mask_feature_size=32,
        feature_size=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
        dim_feedforward=32, encoder_feedforward_dim=32, num_queries=4,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    torch.manual_seed(0)
    model = Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():  # as initialised it sees nothing anywhere; thus, several things
        module = model.model.transformer_module
        model.class_predictor.weight.normal_(0, 3)
        model.class_predictor.bias[-1] = -100
        module.queries_features.weight.normal_(0, 3)
        for parameter in module.decoder.mask_predictor.mask_embedder.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    size = {"shortest_edge": 64, "longest_edge": 96}
    return model, Mask2FormerImageProcessor(size=size, ignore_index=255)
