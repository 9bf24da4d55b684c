"""CLIP and SigLIP by transformers, behind the house's two encoders.

Scores are cosines. Both models' logits are an increasing function of them (CLIP, Sec. 2.3; SigLIP,
Eq. 1: a scale, and SigLIP's bias), so that every rank is the same."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad
from transformers import AutoConfig, AutoModel
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from lib.batch import PixelBatch, TextBatch
from lib.errors import InputError, first_line
from lib.models.common.hub import refuse_code
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import State

MOST_PARAMETERS = 12 * 10**9  # the largest of them has 8 billion


class DualEncoder(RetrievalModel):
    """A picture tower and a text tower whose unit vectors are compared."""

    def __init__(self, network: Any, padding_id: int = 0):
        """Wrap transformers' ``CLIPModel`` or ``SiglipModel``; ``padding_id`` is the tokenizer's,
        which a config need not tell."""
        super().__init__()
        self.network, self.padding_id = network, padding_id
        # SigLIP was trained on captions that are padded to one length, and sees the padding.
        self.fixed_length = network.config.model_type == "siglip"
        self.length = network.config.text_config.max_position_embeddings

    def encode_images(self, batch: PixelBatch) -> Tensor:
        """B pictures as their preprocessor gives them, (B, 3, S, S) -> (B, D) float32 unit
        vectors."""
        found = self.network.get_image_features(pixel_values=batch.pixels)
        return normalize(found.pooler_output.float(), dim=-1)

    def encode_texts(self, batch: TextBatch) -> Tensor:
        """B captions -> (B, D) float32 unit vectors."""
        ids, mask = batch.ids, batch.mask
        if self.fixed_length:
            filled = ids.masked_fill(~mask, self.padding_id)
            ids = pad(filled, (0, self.length - ids.shape[1]), value=self.padding_id)
            found = self.network.get_text_features(input_ids=ids)
        else:
            found = self.network.get_text_features(input_ids=ids, attention_mask=mask.long())
        return normalize(found.pooler_output.float(), dim=-1)

    def encoders(self) -> tuple[nn.Module, ...]:
        """Both towers; nothing here is trained."""
        return (self.network,)


def read_config(folder: Path) -> Any:
    """transformers' config of a folder. Raises InputError: it is damaged, or asks for code or for
    sizes that no such model has."""
    try:
        refuse_code(str(folder))
        set_verbosity_error()  # it finds its own defaults of SigLIP's ids odd
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _require_size(config)
    except Exception as error:  # a damaged file fails in ways that transformers does not list
        raise InputError(f"{folder}: cannot be loaded ({first_line(error)})") from error
    return config


def _require_size(config: Any) -> None:
    """Refuse sizes that no such model has: a damaged config would ask for any amount of memory.
    Raises ValueError."""
    total = 0
    for tower in (config.text_config, config.vision_config):
        h, i, layers = tower.hidden_size, tower.intermediate_size, tower.num_hidden_layers
        if not all(isinstance(size, int) and size > 0 for size in (h, i, layers)):
            raise ValueError(f"its config.json asks for sizes {(h, i, layers)}")
        total += layers * (4 * h * h + 2 * h * i)
    total += config.text_config.vocab_size * config.text_config.hidden_size
    if total > MOST_PARAMETERS:
        raise ValueError(f"its config.json asks for {total:,} parameters")


def build(folder: Path, padding_id: int) -> DualEncoder:
    """The model of a folder with random weights, for a tokenizer that pads so. Raises InputError:
    its config is broken."""
    config = read_config(folder)
    try:
        network = AutoModel.from_config(config, trust_remote_code=False).float()
        return DualEncoder(network, padding_id)
    except Exception as error:  # sizes that do not divide, for one
        raise InputError(f"{folder}: cannot be built ({first_line(error)})") from error


def read_state(folder: Path) -> State:
    """The weights of a folder, float32, under the names of :class:`DualEncoder`. Raises InputError:
    they are missing, incomplete or damaged."""
    config = read_config(folder)
    try:
        disable_progress_bar()  # flashes by, and looks like training
        loaded: Any = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            trust_remote_code=False,
            weights_only=True,
        )
        network, report = loaded
        if report["missing_keys"]:  # transformers would leave them random
            missing = sorted(report["missing_keys"])
            raise ValueError(f"its weights lack {len(missing)} tensors, among them {missing[0]}")
        if report.get("mismatched_keys"):
            raise ValueError("its weights are of other sizes than its config.json says")
    except Exception as error:  # damaged weights fail in ways that transformers does not list
        raise InputError(f"{folder}: cannot be loaded ({first_line(error)})") from error
    return DualEncoder(network).state_dict()
