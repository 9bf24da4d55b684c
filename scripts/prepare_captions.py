"""Makes a dataset's caption and id files from Karpathy's splits.

python scripts/prepare_captions.py --karpathy dataset_coco.json --out data/coco_precomp
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.errors import InputError, reported
from lib.extraction.karpathy import read_splits
from lib.files import replacing


def prepare(args: argparse.Namespace) -> None:
    """Read everything, then write it; nothing of another content is replaced unasked."""
    contents = {}
    for split, (ids, captions) in read_splits(args.karpathy).items():
        contents[args.out / f"{split}_ids.txt"] = "".join(f"{i}\n" for i in ids)
        contents[args.out / f"{split}_caps.txt"] = "".join(f"{line}\n" for line in captions)
        print(f"{split}: {len(ids):,} images, {len(captions):,} captions")
    for path, text in contents.items():
        if path.exists() and not args.overwrite and path.read_bytes() != text.encode():
            raise InputError(f"{path}: is there with another content; --overwrite replaces it")
    for path, text in contents.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def main(words: list[str] | None = None) -> None:
    """Make the files that the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--karpathy", type=Path, required=True, help="dataset_coco.json or alike")
    parser.add_argument("--out", type=Path, required=True, help="as data/coco_precomp; made")
    parser.add_argument("--overwrite", action="store_true", help="replace files that differ")
    args = parser.parse_args(words)
    with reported():
        prepare(args)


if __name__ == "__main__":
    main()
