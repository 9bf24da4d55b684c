"""The family CMSEI (Ge et al., WACV 2023); files that need torch are imported when used."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.models import family
from lib.models.cmsei.config import Config, inputs
from lib.models.common.bert_family import BertFamily

if TYPE_CHECKING:
    from lib.models.cmsei.model import CMSEI

VERSIONS = {"i2t": "I-T", "t2i": "T-I"}


class Family(BertFamily):
    """Both versions of CMSEI and their ablations."""

    name = "cmsei"
    Config = Config
    pairwise = True

    def title(self, config: Any) -> str:
        """A version, perhaps an ablation of it."""
        return f"CMSEI {VERSIONS[config.direction]}{_removed(config)}"

    def whole(self, config: Any) -> family.Whole:
        """The paper's model is the mean of both versions' scores."""
        parts = tuple(VERSIONS.values())
        return family.Whole(f"CMSEI{_removed(config)}", VERSIONS[config.direction], parts)

    def outdated(self, settings: family.Plain) -> str | None:
        """Equations that this code had before ``graph_norm`` was a setting."""
        if "graph_norm" in settings:
            return None
        return (
            "was trained with earlier equations of CMSEI (norms that start at zero in both image "
            "graphs, V as the nodes of the semantic graph, a mean of V or T that gates and one of "
            "V^f or T^f that is scored against)"
        )

    def inputs(self, config: Any) -> Sequence[family.Input]:
        """Boxes and relations of regions."""
        return inputs(config)

    def build(self, config: Any, tokenizer: family.Tokenizer, pretrained: bool) -> "CMSEI":
        """One version around the BERT that ``config`` names."""
        from lib.models.cmsei.model import CMSEI
        from lib.models.common.bert import load_bert

        return CMSEI(config, load_bert(config.bert, pretrained))


def _removed(config: Config) -> str:
    return family.without(
        {
            "VSG": config.use_spatial_graph,
            "VSRG": config.use_semantic_graph,
            "TG": config.use_text_graph,
            "LLII": config.use_local_interaction,
            "LGII": config.use_global_interaction,
        }
    )
