"""CMSEI's settings, its switches for the paper's ablations, and the arrays it reads.

What the paper leaves open is marked *inferred*.
"""

from typing import Literal

from pydantic import Field

from lib.models.cmsei.regions import box_problem, relation_problem
from lib.models.family import FamilyConfig, Float, Input


class Config(FamilyConfig):
    """Sizes and parts of one version of CMSEI."""

    family: Literal["cmsei"] = Field("cmsei", description="CMSEI")
    embed_size: int = Field(1024, ge=2, description="size of the joint embedding, D")
    direction: Literal["i2t", "t2i"] = Field(
        "i2t", description="I-T, an image's regions attend to words; or t2i for T-I, the mirror"
    )
    use_spatial_graph: bool = Field(True, description="VSG; false: *_ims_bbx.npy is not read")
    use_semantic_graph: bool = Field(True, description="VSRG; false: *_rels.npy is not read")
    use_text_graph: bool = Field(True, description="TG, the graph of words")
    use_local_interaction: bool = Field(True, description="LLII, steps 1 and 2")
    use_global_interaction: bool = Field(True, description="LGII, steps 3 and 4")
    overlap: Float = Field(0.4, ge=0, le=1, description="regions with a higher IoU are neighbours")
    rounds: int = Field(
        2, ge=1, description="local-local interactions, each with its own parameters (inferred)"
    )
    smoothing: Float = Field(4.0, ge=0, description="lambda of the attention (inferred)")
    bert: str = Field("bert-base-uncased", description="BERT: a hub name or a local folder")
    bert_lr_scale: Float = Field(0.1, ge=0, description="BERT's rate is train.lr times this")


def inputs(config: Config) -> list[Input]:
    """Boxes and relations, where the graphs that they make are switched on."""
    arrays = []
    if config.use_spatial_graph:  # (K, 4) float32
        arrays.append(
            Input(
                "boxes", "ims_bbx", (None, 4), "regions; x1, y1, x2, y2", 1, box_problem,
                "the spatial graph, model.use_spatial_graph=false trains without",
            )
        )  # fmt: skip
    if config.use_semantic_graph:  # (K, K) float32, 1 where the row relates to the column
        arrays.append(
            Input(
                "relations", "rels", (None, None), "regions, regions", 2, relation_problem,
                "the semantic graph, model.use_semantic_graph=false trains without",
            )
        )  # fmt: skip
    return arrays
