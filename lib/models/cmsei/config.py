"""CMSEI's settings, its switches for the paper's ablations, and the arrays it reads.

What the paper leaves open is marked *inferred*."""

from typing import Literal

from lib.models.cmsei.regions import box_problem, relation_problem
from lib.models.family import FamilyConfig, Float, Input, setting


class Config(FamilyConfig):
    """Sizes and parts of one version of CMSEI."""

    family: Literal["cmsei"] = setting("cmsei", "CMSEI")
    embed_size: int = setting(1024, "size of the joint embedding, D", ge=2)
    direction: Literal["i2t", "t2i"] = setting("i2t", "I-T, regions attend to words; or T-I")
    use_spatial_graph: bool = setting(True, "VSG; false: *_ims_bbx.npy is not read")
    use_semantic_graph: bool = setting(True, "VSRG; false: *_rels.npy is not read")
    use_text_graph: bool = setting(True, "TG, the graph of words")
    use_local_interaction: bool = setting(True, "LLII, steps 1 and 2")
    use_global_interaction: bool = setting(True, "LGII, steps 3 and 4")
    overlap: Float = setting(0.4, "regions with a higher IoU are neighbours", ge=0, le=1)
    graph_norm: Literal["none", "batch"] = setting(
        "none", "W_r of the graphs: linear alone, or with a BatchNorm behind (inferred)"
    )
    graph_norm_scale: Float = setting(0.0, "where that BatchNorm's scale starts (inferred)")
    semantic_nodes: Literal["spatial", "projected"] = setting(
        "spatial", "nodes of the semantic graph: V^s, or V as Eq. 2 is printed (inferred)"
    )
    symmetric_relations: bool = setting(False, "the object of a relation receives too (inferred)")
    attention: Literal["raw", "clipped_l2norm"] = setting(
        "raw", "cosines as Eq. 5 has them, or as SCAN and DIME have them (inferred)"
    )
    smoothing: Float | None = setting(
        None, "lambda of the attention; null: 4 for I-T, 9 for T-I (inferred)", ge=0
    )
    global_from: Literal["projected", "enhanced"] = setting(
        "projected", "the other side as a whole: the mean of V or T, or of V^f or T^f (inferred)"
    )
    rounds: int = setting(2, "LLIIs, each with its own parameters (inferred)", ge=1)
    bert: str = setting("bert-base-uncased", "BERT: a hub name or a local folder")
    bert_lr_scale: Float = setting(0.1, "BERT's rate is train.lr times this (inferred)", ge=0)


def inputs(config: Config) -> list[Input]:
    """Boxes and relations, where the graphs that they make are switched on."""
    without = "model.use_{0}_graph=false trains without"
    boxes = "the spatial graph, " + without.format("spatial")
    relations = "the semantic graph, " + without.format("semantic")
    arrays = []
    if config.use_spatial_graph:  # (K, 4) float32
        meaning = "regions; x1, y1, x2, y2"
        arrays.append(Input("boxes", "ims_bbx", (None, 4), meaning, 1, box_problem, boxes))
    if config.use_semantic_graph:  # (K, K) float32, 1 where the row relates to the column
        shape = (None, None)
        arrays.append(
            Input("relations", "rels", shape, "regions, regions", 2, relation_problem, relations)
        )
    return arrays
