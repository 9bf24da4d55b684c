"""What a model looked at in a picture: the content of highlight maps."""

from dataclasses import dataclass, field

from torch import Tensor

Named = dict[str, Tensor]


@dataclass(frozen=True)
class Explanation:
    """Of B pictures of at most K regions or cells each, and where sentences were given too, of B
    sentences of at most N tokens, one for each picture; all float32, zero on padding. The names
    are shown to readers."""

    mask: Tensor  # (B, K) bool; true on real regions
    regions: Named = field(default_factory=dict)  # (B, K): a value of each region
    maps: Named = field(default_factory=dict)  # (B, K, S, S): a region's attention, sums to one
    places: Named = field(default_factory=dict)  # (B, S, S): a value of each place of the picture
    # (B,) each: the shares of the pooled vector, which sum to one, and what each part adds to the
    # score with the sentence, which together is the score.
    parts: Named = field(default_factory=dict)
    score_parts: Named = field(default_factory=dict)
    words: Named = field(default_factory=dict)  # (B, N): a value of each token
    attention: Named = field(default_factory=dict)  # (B, N, K): tokens with regions
