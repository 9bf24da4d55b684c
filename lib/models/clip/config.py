"""The settings of a CLIP or SigLIP: which one. All else stands in its own ``config.json``."""

from typing import Literal

from pydantic import model_validator

from lib.models.family import FamilyConfig, setting


class Config(FamilyConfig):
    """A published model as it is."""

    family: Literal["clip"] = setting("clip", "a CLIP or SigLIP of the Hugging Face hub, zero-shot")
    hub: str = setting("openai/clip-vit-base-patch32", "the model: a hub name or a local folder")

    @model_validator(mode="after")
    def _reads_pictures_itself(self) -> "Config":
        if self.backbone is not None:
            raise ValueError(
                f"model.backbone is {self.backbone!r}, but this model reads pictures itself; "
                "leave model.backbone out"
            )
        return self
