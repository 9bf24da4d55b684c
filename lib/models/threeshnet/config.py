"""3SHNet's settings, its switches for VSE-infinity and the ablations, and the arrays it reads."""

from typing import Literal

from pydantic import Field

from lib.models.family import FamilyConfig, Float, Input


class Config(FamilyConfig):
    """Sizes and parts of 3SHNet."""

    family: Literal["threeshnet"] = Field("threeshnet", description="3SHNet, VSE-infinity")
    embed_size: int = Field(1024, ge=2, description="size of the joint embedding, D")
    segmentation: bool = Field(
        True, description="false: VSE-infinity, which reads no segmentation file"
    )
    vsem: bool = Field(True, description="the visual-semantic branch")
    vspm: bool = Field(
        True, description="the visual-spatial branch; false: *_seg_maps.npy is not read"
    )
    categories: int = Field(133, ge=1, description="categories of the segmentation")
    cells: int = Field(7, ge=1, description="side of the semantic segmentation's grid")
    map_size: int = Field(64, ge=1, description="side of the panoptic label map")
    normalise_images: bool = Field(True, description="image embeddings have unit length")
    normalise_texts: bool = Field(True, description="caption embeddings have unit length")
    bert: str = Field("bert-base-uncased", description="BERT: a hub name or a local folder")
    bert_lr_scale: Float = Field(0.1, ge=0, description="BERT's rate is train.lr times this")


def inputs(config: Config) -> list[Input]:
    """The segmentation arrays that ``config`` needs."""
    if not config.segmentation:
        return []
    shares = (config.categories, config.cells, config.cells)
    side = (config.map_size, config.map_size)
    arrays = [
        # (categories, cells, cells) float32, shares in [0, 1]
        Input("semantic", "segmentations", shares, "categories, cells (model.cells)"),
        # (categories,) float32, one where present
        Input("categories", "cat_onehots", (config.categories,), "categories (model.categories)"),
    ]
    if config.vspm:  # (map_size, map_size) float32, raw category numbers
        arrays.append(Input("seg_map", "seg_maps", side, "rows, columns (model.map_size)"))
    return arrays
