"""What 3SHNet's branches and pooling do with a picture (its self-highlighting, to be looked at)."""

from typing import TYPE_CHECKING

from torch import Tensor

from lib.batch import ImageBatch
from lib.models.common.explanation import Explanation, Named

if TYPE_CHECKING:
    from lib.models.threeshnet.model import ImageEncoder

AGREEMENT, ATTENTION = "VSeM: agreement", "VSpM: attention"
# Parts of the pooled set, for readers.
CATEGORIES, REGIONS = "category token", "regions"
HIGHLIGHTED, CELLS = "highlighted regions", "segmentation cells"


def explain(encoder: "ImageEncoder", batch: ImageBatch, sentences: Tensor | None) -> Explanation:
    """Of B images and, where (B, D) ``sentences`` are given, of how their scores come about; in
    evaluation mode."""
    mask, arrays = batch.mask, batch.arrays
    regions: Named = {}
    maps: Named = {}
    places: Named = {}
    if encoder.segmentation:
        projected = encoder.projection(batch.features)
        if encoder.semantic is not None:
            gates = encoder.semantic.agreement(projected, mask, arrays["semantic"])
            regions[AGREEMENT] = gates
        if encoder.spatial is not None:
            attention = encoder.spatial.attention(projected, mask, arrays["seg_map"])
            maps[ATTENTION] = attention
    rows, real = encoder.pooled_set(batch)
    weights = encoder.pooling.by_row(rows, real)
    shares = _parts(encoder, batch, weights.mean(dim=-1))
    _place("GPO: share", shares, regions, places)
    added: Named = {}
    if sentences is not None:
        # The pooled vector is a sum over the set, and so is its product with a sentence.
        weighed = weights * rows.float()
        adds = (weighed * sentences[:, None]).sum(dim=-1)
        if encoder.normalise:
            adds = adds / weighed.sum(dim=1).norm(dim=-1, keepdim=True)
        added = _parts(encoder, batch, adds)
        _place("score: what it adds", added, regions, places)
    return Explanation(mask, regions, maps, places, _sums(shares), _sums(added))


def _parts(encoder: "ImageEncoder", batch: ImageBatch, values: Tensor) -> Named:
    """(B, N) values of the set that the encoder pools -> (B, n) of each of its parts."""
    if not encoder.segmentation:
        return {REGIONS: values}
    width = batch.features.shape[1]
    sizes = 1, width, width, values.shape[1] - 2 * width - 1
    return dict(zip((CATEGORIES, REGIONS, HIGHLIGHTED, CELLS), values.split(sizes, 1), strict=True))


def _place(name: str, parts: Named, regions: Named, places: Named) -> None:
    """Put a part's values where the picture has them."""
    regions[name] = parts[REGIONS] + parts.get(HIGHLIGHTED, 0)
    if CELLS in parts:
        side = round(parts[CELLS].shape[1] ** 0.5)
        places[f"{name}, segmentation cells"] = parts[CELLS].unflatten(1, (side, side))


def _sums(parts: Named) -> Named:
    return {name: values.sum(dim=1) for name, values in parts.items()}
