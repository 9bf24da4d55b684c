"""A small BERT made from captions, for the demo and the tests: nothing is downloaded.

python -m lib.data.small_bert --captions data/scenes_precomp/train_caps.txt --out FOLDER
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, BertModel
from transformers.utils.logging import disable_progress_bar

from lib.data.captions import read_captions
from lib.files import replacing

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_pieces(captions: list[str], size: int) -> list[str]:
    """A WordPiece vocabulary: special entries, every character, then the most frequent words.

    The ``tokenizers`` library splits the words but does not choose the entries: its trainer breaks
    ties by chance, and a world's results shall not.
    """
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    counts: Counter[str] = Counter()
    for caption in captions:
        words = splitter.pre_tokenize_str(normalizer.normalize_str(caption))
        counts.update(word for word, _ in words)
    characters = sorted(set("".join(counts)))
    entries = [*SPECIAL, *characters, *(f"##{c}" for c in characters)]
    words = sorted(counts.keys() - set(characters), key=lambda word: (-counts[word], word))
    return entries + words[: max(0, size - len(entries))]


def write_small_bert(
    folder: Path,
    captions: Path,
    vocabulary: int = 1000,
    hidden: int = 128,
    layers: int = 2,
    positions: int = 64,
    seed: int = 0,
) -> None:
    """Make a vocabulary from ``captions`` and save a randomly initialised BERT with it.

    Args:
        folder: gets ``vocab.txt``, ``config.json`` and ``model.safetensors``.
        captions: a caption file, one caption per line.
        vocabulary: number of entries at most, unless the characters alone are more.
        hidden: width; a head is 32 wide.
        layers: number of transformer layers.
        positions: longest caption in pieces.
        seed: of the initial weights.
    """
    entries = word_pieces(read_captions(captions), vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "vocab.txt") as temporary:
        temporary.write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")
    disable_progress_bar()  # one small file
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(entries),
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
