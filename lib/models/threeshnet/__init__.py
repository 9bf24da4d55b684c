"""The family 3SHNet (Ge et al., IP&M 2024), and VSE-infinity, which is its model without
segmentation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.models import family
from lib.models.threeshnet.config import Config, inputs

if TYPE_CHECKING:
    from lib.models.common.bert import BertTokenizer
    from lib.models.threeshnet.model import ThreeSHNet


class Family(family.Family):
    """3SHNet; files that need torch are imported when they are used."""

    name = "threeshnet"
    Config = Config
    locations = frozenset({"bert"})

    @property
    def released(self) -> family.ReleasedLayout:  # type: ignore[override]
        """The public release's."""
        from lib.models.threeshnet.released import Layout

        return Layout()

    def title(self, config: Config) -> str:
        """3SHNet, an ablation of it, or VSE-infinity."""
        if not config.segmentation:
            return "VSE-infinity"
        parts = {"VSeM": config.vsem, "VSpM": config.vspm}
        return "3SHNet" + family.without(name for name, on in parts.items() if not on)

    def inputs(self, config: Config) -> Sequence[family.Input]:
        """Segmentation arrays."""
        return inputs(config)

    def seen_through(
        self, window: family.Window, arrays: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The segmentation inside the window."""
        seen = dict(arrays)
        if "semantic" in arrays:
            seen["semantic"] = shares = window.shares(arrays["semantic"])
            # Categories that are outside the window are not present.
            seen["categories"] = arrays["categories"] * shares.any(axis=(1, 2))
        if "seg_map" in arrays:
            seen["seg_map"] = window.label_map(arrays["seg_map"])
        return seen

    def tokenizer(
        self,
        config: Config,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
    ) -> "BertTokenizer":
        """BERT's WordPieces."""
        from lib.models.common.bert import BertTokenizer

        return BertTokenizer(config.bert)

    def build(self, config: Config, tokenizer: family.Tokenizer, pretrained: bool) -> "ThreeSHNet":
        """3SHNet around the BERT that ``config`` names."""
        from lib.models.common.bert import load_bert
        from lib.models.threeshnet.model import ThreeSHNet

        return ThreeSHNet(config, load_bert(config.bert, pretrained))
