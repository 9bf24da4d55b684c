"""The family LHSC (Zeng et al., ICMR 2022); files that need torch are imported when used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lib.errors import InputError
from lib.models import family
from lib.models.common.bert_family import BERT_HELP, bert_files, bert_tokenizer
from lib.models.lhsc.config import GRAPH_LAYERS, Config

if TYPE_CHECKING:
    from lib.models.lhsc.model import LHSC


class Family(family.Family):
    """LHSC and its ablations, on words or on BERT."""

    name = "lhsc"
    Config = Config
    pairwise = True
    locations: ClassVar[Mapping[str, str]] = {
        "vocab": "a released LHSC's vocabulary; default: the file that the checkpoint names, "
        "beside it or in DATA_PATH/vocab",
        "bert": BERT_HELP,
    }

    def locations_of(self, config: Any, state: family.Plain) -> set[str]:
        """A vocabulary, unless the checkpoint keeps its own; or a BERT."""
        if config.bert is not None:
            return {"bert"}
        return set() if "words" in state else {"vocab"}

    @property
    def released(self) -> family.ReleasedLayout:
        """The authors'."""
        from lib.models.lhsc.released import Layout

        return Layout()

    def title(self, config: Any) -> str:
        """LHSC, perhaps on BERT, or an ablation of it."""
        layers = "s" if config.graph_layers > 1 else ""
        depth = f" of {config.graph_layers} graph layer{layers}"
        parts = {
            "word attention": config.use_word_attention,
            "the global part": config.use_global,
            "the filter": config.use_filter,
        }
        bert = "" if config.bert is None else " on BERT"
        return f"LHSC{bert}{'' if config.graph_layers == GRAPH_LAYERS else depth}" + family.without(
            parts
        )

    def regions(self, config: Any) -> int:
        """All that the model has slots for."""
        return config.regions

    def tokenizer(
        self,
        config: Any,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
        folders: Sequence[Path] = (),
    ) -> family.Tokenizer:
        """A vocabulary: the state's own, else the setting's, else the one that the state names,
        else of the training captions; or BERT's WordPieces."""
        from lib.models.lhsc.vocabulary import Vocabulary, read_vocabulary, vocabulary_of

        state = state or {}
        if config.bert is not None:
            return bert_tokenizer(config.bert, state)
        path = None if config.vocab is None else Path(config.vocab)
        if state and not (_is_vocabulary(state.get("words")) or type(state.get("size")) is int):
            raise InputError("the checkpoint is damaged: its tokenizer holds no list of words")
        if kept := state.get("words"):
            # The file that the run was trained with may be gone; another one is another model.
            if path is not None and path.exists() and read_vocabulary(path) != kept:
                raise InputError(
                    f"{path}: is not the vocabulary that the checkpoint was trained with"
                )
            return Vocabulary(kept)
        if path is None and not state:
            return vocabulary_of(captions or (), config.min_count)
        path = path or _named(state, folders)
        words = read_vocabulary(path)
        if state and len(words) != state["size"]:
            raise InputError(
                f"{path} holds {len(words):,} words, but the checkpoint knows {state['size']:,}; "
                "name the vocabulary that it was trained with, by --vocab FILE"
            )
        return Vocabulary(words)

    def travelling(self, config: Any, tokenizer: family.Tokenizer) -> dict[str, dict[str, str]]:
        """A BERT's; a vocabulary's words are in the checkpoint."""
        return {} if config.bert is None else {"bert": bert_files(config.bert)}

    def build(self, config: Any, tokenizer: family.Tokenizer, pretrained: bool) -> "LHSC":
        """LHSC for the tokenizer's words, or around the BERT that ``config`` names."""
        from lib.models.common.bert import load_bert
        from lib.models.lhsc.model import LHSC

        bert = None if config.bert is None else load_bert(config.bert, pretrained)
        return LHSC(config, len(tokenizer.begins_word), bert)


def _is_vocabulary(words: Any) -> bool:
    return isinstance(words, list) and bool(words) and all(isinstance(w, str) for w in words)


def _named(state: dict[str, Any], folders: Sequence[Path]) -> Path:
    """The vocabulary that a released checkpoint names, in the first of the folders that has it."""
    name = state.get("file")
    if name is None:
        raise InputError("does not name its vocabulary; pass it by --vocab FILE")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = " nor ".join(str(folder / name) for folder in folders)
    raise InputError(
        f"its vocabulary is missing: neither {places} is there; pass it by --vocab FILE "
        "(docs/data.md says where the file comes from)"
    )
