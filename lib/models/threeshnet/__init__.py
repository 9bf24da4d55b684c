"""The family 3SHNet (Ge et al., IP&M 2024), and VSE-infinity, its model without segmentation.
Files that need torch are imported when they are used."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.models import family
from lib.models.common.bert_family import BertFamily
from lib.models.threeshnet.config import Config, inputs, source_of

if TYPE_CHECKING:
    from lib.models.threeshnet.model import ThreeSHNet


class Family(BertFamily):
    """3SHNet and its ablations."""

    name = "threeshnet"
    Config = Config

    @property
    def released(self) -> family.ReleasedLayout:
        """The public release's."""
        from lib.models.threeshnet.released import Layout

        return Layout()

    def title(self, config: Any) -> str:
        """3SHNet, an ablation of it, or VSE-infinity."""
        if not config.segmentation:
            trained = {"detector": " BUTD", "wsl": " WSL"} if not config.residual else {}
            return "VSE-infinity" + trained.get(source_of(config) or "", "")
        return "3SHNet" + family.without({"VSeM": config.vsem, "VSpM": config.vspm})

    def outdated(self, settings: family.Plain) -> str | None:
        """Pictures that were read otherwise, before ``backbone_pixels`` was a setting."""
        if settings.get("backbone") is None or "backbone_pixels" in settings:
            return None
        return "was trained from pictures that earlier code resized and cut in other ways"

    def inputs(self, config: Any) -> Sequence[family.Input]:
        """Segmentation arrays."""
        return inputs(config)

    def seen_through(self, window: family.Window, arrays: family.Arrays) -> family.Arrays:
        """The segmentation inside the window."""
        seen = dict(arrays)
        if "semantic" in arrays:
            seen["semantic"] = shares = window.shares(arrays["semantic"])
            # Categories that are outside the window are not present.
            seen["categories"] = arrays["categories"] * shares.any(axis=(1, 2))
        if "seg_map" in arrays:
            seen["seg_map"] = window.label_map(arrays["seg_map"])
        return seen

    def build(self, config: Any, tokenizer: family.Tokenizer, pretrained: bool) -> "ThreeSHNet":
        """3SHNet around the BERT that ``config`` names."""
        from lib.models.common.bert import load_bert
        from lib.models.threeshnet.model import ThreeSHNet

        return ThreeSHNet(config, load_bert(config.bert, pretrained))
