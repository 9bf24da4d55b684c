"""The family of CLIP (Radford et al., ICML 2021) and SigLIP (Zhai et al., ICCV 2023): published
models that read pixels, scored as they are. Files that need torch are imported when used."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from lib.errors import InputError
from lib.models import family
from lib.models.clip.config import Config
from lib.models.common.hub import local_folder, model_type

if TYPE_CHECKING:
    from lib.models.clip.model import DualEncoder

TYPES = ("clip", "siglip")  # ``model_type`` of their config.json


class Family(family.Family):
    """Whatever CLIP or SigLIP ``config.hub`` names."""

    name = "clip"
    Config = Config
    trains = False

    def title(self, config: Any) -> str:
        """The last part of its name, as in "siglip-base-patch16-224"."""
        return PurePath(config.hub).name or config.hub

    def from_hub(self, folder: Path, name: str) -> family.ReleasedModel | None:
        """Its weights, if ``folder`` holds a CLIP or SigLIP."""
        if model_type(folder) not in TYPES:
            return None
        from lib.models.clip.model import read_state  # imports transformers
        from lib.weights import shapes_of

        state = read_state(folder)
        features = {"type": "images"}
        return family.ReleasedModel(Config(hub=name), state, shapes_of(state), features)

    def picture_reader(self, config: Any) -> family.PictureReader:
        """What the model's own ``preprocessor_config.json`` says."""
        from lib.models.clip.pictures import Preprocessor

        return Preprocessor(local_folder(config.hub))

    def tokenizer(
        self,
        config: Any,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
        folders: Sequence[Path] = (),
    ) -> family.Tokenizer:
        """The model's own."""
        from lib.models.clip.tokenizer import HubTokenizer

        return HubTokenizer(local_folder(config.hub))

    def build(self, config: Any, tokenizer: family.Tokenizer, pretrained: bool) -> "DualEncoder":
        """The model that ``config.hub`` names."""
        from lib.models.clip.model import build

        if pretrained:
            raise InputError(f"model.hub {config.hub!r}: is scored by eval.py --hub, not trained")
        return build(local_folder(config.hub), tokenizer.padding_id)
