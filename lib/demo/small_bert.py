"""A small BERT made from captions, for the demo and the tests: nothing is downloaded.

python -m lib.demo.small_bert --captions data/scenes_precomp/train_caps.txt --out FOLDER"""

import os
import shutil
from collections import Counter
from pathlib import Path

import torch
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, BertModel
from transformers.utils.logging import disable_progress_bar

from lib.arguments import new_parser, path_arg
from lib.data.captions import read_captions
from lib.errors import InputError, exit_on_error

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_pieces(captions: list[str], size: int) -> list[str]:
    """A WordPiece vocabulary: special entries, every character, then the most frequent words. The
    trainer of ``tokenizers`` would break ties by chance."""
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    counts: Counter[str] = Counter()
    for caption in map(normalizer.normalize_str, captions):
        counts.update([str(word) for word, _ in splitter.pre_tokenize_str(caption)])
    characters = sorted(set("".join(counts)))
    entries = [*SPECIAL, *characters, *(f"##{c}" for c in characters)]
    frequent = sorted(counts.keys() - set(characters), key=lambda word: (-counts[word], word))
    return entries + frequent[: max(0, size - len(entries))]


def write_small_bert(
    folder: Path,
    captions: Path,
    vocabulary: int = 1000,
    hidden: int = 128,
    layers: int = 2,
    positions: int = 64,
    seed: int = 0,
) -> None:
    """Save a randomly initialised BERT of heads 32 wide, with a vocabulary of at most so many
    entries (or the characters alone) made from a caption file, into a new folder. Raises
    InputError: no such captions, or ``folder`` is there already or cannot be written."""
    lines = read_captions(captions)
    if not any(line.strip() for line in lines):
        raise InputError(f"{captions}: holds no caption")
    entries = word_pieces(lines, vocabulary)
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
    # Into a folder beside it, renamed when whole: half a BERT would pass for one.
    temporary = folder.with_name(f".{folder.name}.writing-{os.getpid()}")
    try:
        BertModel(config).save_pretrained(temporary)
        text = "".join(f"{entry}\n" for entry in entries)
        (temporary / "vocab.txt").write_text(text, encoding="utf-8")
        temporary.replace(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error}); is it there already?") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--captions", type=path_arg, required=True, help="{split}_caps.txt to take words from"
    )
    parser.add_argument("--out", type=path_arg, required=True, help="folder to write the BERT into")
    parser.add_argument(
        "--vocabulary", type=int, default=1000, help="most word pieces of the vocabulary"
    )
    parser.add_argument("--hidden", type=int, default=128, help="width of the layers")
    parser.add_argument("--layers", type=int, default=2, help="number of layers")
    args = parser.parse_args()
    with exit_on_error():
        write_small_bert(args.out, args.captions, args.vocabulary, args.hidden, args.layers)
        print(f"{args.out}: a BERT of {args.layers} layers, width {args.hidden}, random weights")


if __name__ == "__main__":
    main()
