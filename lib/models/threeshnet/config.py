"""3SHNet's settings, its switches for VSE-infinity and the ablations, and the arrays it reads."""

from functools import partial
from pathlib import PurePath
from typing import Literal

from pydantic import model_validator

from lib.models.family import FamilyConfig, Float, Input, setting
from lib.models.threeshnet.arrays import label_problem, presence_problem, share_problem


class Config(FamilyConfig):
    """Sizes and parts of 3SHNet."""

    family: Literal["threeshnet"] = setting("threeshnet", "3SHNet, VSE-infinity")
    embed_size: int = setting(1024, "size of the joint embedding, D", ge=2)
    segmentation: bool = setting(True, "false: VSE-infinity, which reads no segmentation file")
    residual: bool = setting(
        True, "a residual MLP beside the projection; false: VSE-infinity's grid model"
    )
    vsem: bool = setting(True, "the visual-semantic branch")
    vspm: bool = setting(True, "the visual-spatial branch; false: *_seg_maps.npy is not read")
    categories: int = setting(133, "categories of the segmentation", ge=1)
    cells: int = setting(7, "side of the semantic segmentation's grid", ge=1)
    map_size: int = setting(64, "side of the panoptic label map", ge=1)
    normalise_images: bool = setting(True, "image embeddings have unit length")
    normalise_texts: bool = setting(True, "caption embeddings have unit length")
    bert: str = setting("bert-base-uncased", "BERT: a hub name or a local folder")
    bert_lr_scale: Float = setting(0.1, "BERT's rate is train.lr times this", ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Config":
        if self.segmentation and not self.residual:
            raise ValueError(
                "model.residual is false, which is VSE-infinity's grid model; set "
                "model.segmentation=false too"
            )
        return self


# VSE-infinity's names of the networks that its grid models were trained with (``backbone_source``)
# -> backbone, its weights, and how pixels are normalised.
DETECTOR = "original_updown_backbone.pth"
WSL = "ig_resnext101_32x8-c38310e5.pth"
SOURCES: dict[str, tuple[str, str, str]] = {
    "detector": ("resnet101_caffe", DETECTOR, "caffe"),
    "imagenet_res50": ("resnet50_caffe", "imagenet", "imagenet"),
    "imagenet": ("resnet101_caffe", "imagenet", "imagenet"),
    "imagenet_res152": ("resnet152_caffe", "imagenet", "imagenet"),
    "imagenet_resnext": ("resnext101_32x8d", "imagenet", "imagenet"),
    "wsl": ("resnext101_32x8d", WSL, "imagenet"),
}


def source_of(config: Config) -> str | None:
    """VSE-infinity's name of a backbone, by network, the name of its weights' file, and pixels;
    None: it has none."""
    weights = PurePath(config.backbone_weights).name
    pixels = config.backbone_pixels or ("imagenet" if weights == "imagenet" else "detectron2")
    about = (config.backbone, weights, pixels)
    return next((name for name, source in SOURCES.items() if source == about), None)


def inputs(config: Config) -> list[Input]:
    """The segmentation arrays that ``config`` needs."""
    if not config.segmentation:
        return []
    shares = (config.categories, config.cells, config.cells)
    side = (config.map_size, config.map_size)
    arrays = [
        # (categories, cells, cells) float32, shares in [0, 1]
        Input(
            "semantic",
            "segmentations",
            shares,
            "categories, cells (model.cells)",
            problem=share_problem,
        ),
        # (categories,) float32, one where present
        Input(
            "categories",
            "cat_onehots",
            (config.categories,),
            "categories (model.categories)",
            problem=presence_problem,
        ),
    ]
    if config.vspm:  # (map_size, map_size) float32, raw category numbers
        problem = partial(label_problem, config.categories)
        meaning = "rows, columns (model.map_size)"
        arrays.append(Input("seg_map", "seg_maps", side, meaning, problem=problem))
    return arrays
