"""A small CLIP and a small SigLIP with random weights, as folders in the layout of the hub."""

import io
from pathlib import Path

import sentencepiece
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipTokenizer,
)

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SIDE = 32  # pixels


def write_clip(folder: Path, captions: list[str], seed: int = 0) -> Path:
    """A CLIP whose tokenizer is trained on ``captions``."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    trainer = BpeTrainer(
        vocab_size=400,
        end_of_word_suffix="</w>",
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces = Tokenizer(BPE(end_of_word_suffix="</w>"))
    pieces.pre_tokenizer = Sequence([Split(" ", "removed"), ByteLevel(add_prefix_space=False)])
    pieces.train_from_iterator([caption.lower() for caption in captions], trainer)
    model = pieces.model
    model.save(str(folder))
    vocabulary = pieces.get_vocab()
    vocabulary |= {start: len(vocabulary), end: len(vocabulary) + 1}
    merges = [tuple(line.split()) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=24).save_pretrained(folder)
    ids = {
        "bos_token_id": vocabulary[start],
        "eos_token_id": vocabulary[end],
        "pad_token_id": vocabulary[end],
    }
    text = TOWER | ids | {"vocab_size": len(vocabulary), "max_position_embeddings": 24}
    vision = TOWER | {"image_size": SIDE, "patch_size": 8}
    torch.manual_seed(seed)
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    ).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size).save_pretrained(folder)
    return folder


def write_siglip(folder: Path, captions: list[str], seed: int = 0) -> Path:
    """A SigLIP whose tokenizer is trained on ``captions``."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([caption.lower() for caption in captions]),
        model_writer=written,
        vocab_size=60,
        hard_vocab_limit=False,
        unk_id=2,
        eos_id=1,
        bos_id=-1,
        pad_id=0,
        add_dummy_prefix=False,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(written.getvalue())
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=16)
    tokenizer.save_pretrained(folder)
    text = TOWER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_size": 32,
    }
    vision = TOWER | {"image_size": SIDE, "patch_size": 8}
    torch.manual_seed(seed)
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    torch.nn.init.constant_(model.logit_bias, -1.0)
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder
