"""The family CMSEI (Ge et al., WACV 2023)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.models import family
from lib.models.cmsei.config import Config, inputs

if TYPE_CHECKING:
    from lib.models.cmsei.model import CMSEI
    from lib.models.common.bert import BertTokenizer

VERSIONS = {"i2t": "I-T", "t2i": "T-I"}


class Family(family.Family):
    """CMSEI; files that need torch are imported when they are used."""

    name = "cmsei"
    Config = Config
    locations = frozenset({"bert"})

    def title(self, config: Config) -> str:
        """A version, perhaps an ablation of it."""
        return f"CMSEI {VERSIONS[config.direction]}{self._removed(config)}"

    def whole(self, config: Config) -> family.Whole:
        """The paper's model is the mean of both versions' scores."""
        title = f"CMSEI{self._removed(config)}"
        return family.Whole(title, VERSIONS[config.direction], tuple(VERSIONS.values()))

    def _removed(self, config: Config) -> str:
        parts = {
            "VSG": config.use_spatial_graph,
            "VSRG": config.use_semantic_graph,
            "TG": config.use_text_graph,
            "LLII": config.use_local_interaction,
            "LGII": config.use_global_interaction,
        }
        return family.without(name for name, on in parts.items() if not on)

    def inputs(self, config: Config) -> Sequence[family.Input]:
        """Boxes and relations of regions."""
        return inputs(config)

    def tokenizer(
        self,
        config: Config,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
    ) -> "BertTokenizer":
        """BERT's WordPieces."""
        from lib.models.common.bert import BertTokenizer

        return BertTokenizer(config.bert)

    def build(self, config: Config, tokenizer: family.Tokenizer, pretrained: bool) -> "CMSEI":
        """One version around the BERT that ``config`` names."""
        from lib.models.cmsei.model import CMSEI
        from lib.models.common.bert import load_bert

        return CMSEI(config, load_bert(config.bert, pretrained))
