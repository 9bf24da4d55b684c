"""A small BERT made from captions, for the demo and the tests: nothing is downloaded.

python -m lib.models.small_bert --captions data/scenes_precomp/train_caps.txt --out FOLDER
"""

import argparse
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel


def write_small_bert(
    folder: Path,
    captions: Path,
    vocabulary: int = 1000,
    hidden: int = 128,
    layers: int = 2,
    positions: int = 64,
    seed: int = 0,
) -> None:
    """Train a WordPiece vocabulary on ``captions`` and save a randomly initialised BERT with it.

    Args:
        folder: gets ``vocab.txt``, ``config.json`` and ``model.safetensors``.
        captions: a caption file, one caption per line.
        vocabulary: number of entries at most, the five special ones included.
        hidden: width; a head is 32 wide.
        layers: number of transformer layers.
        positions: longest caption in pieces.
        seed: of the initial weights.
    """
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train([str(captions)], vocab_size=vocabulary, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_model(str(folder))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=2 * hidden,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    args = parser.parse_args()
    write_small_bert(args.out, args.captions, args.vocabulary, args.hidden, args.layers)
    print(f"{args.out}: a BERT of {args.layers} layers, width {args.hidden}, random weights")


if __name__ == "__main__":
    main()
