"""Makes a dataset's caption and id files.

python scripts/prepare_captions.py --karpathy dataset_coco.json --out data/coco_precomp
python scripts/prepare_captions.py --table captions.txt --images PICTURES --out data/mine_precomp

--karpathy takes the community's splits of COCO and Flickr30K. --table takes lines of a picture's
file name, a tab and a sentence, deals the pictures out to train, dev and test, and writes
pictures.json beside, which the extraction commands take as --mapping.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import path_arg
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write
from lib.outputs import exclusive
from scripts.caption_table import read_table, to_splits, without_sentence
from scripts.karpathy import read_splits


def prepare(args: argparse.Namespace) -> None:
    """Read everything, then write it; nothing of another content is replaced unasked."""
    contents = {}
    if args.karpathy:
        splits = read_splits(args.karpathy)
    else:
        table = read_table(args.table, args.images)
        splits, mapping, notes = to_splits(table, args.dev, args.test, args.seed)
        contents[args.out / "pictures.json"] = json.dumps(mapping, indent=1) + "\n"
        if others := without_sentence(table, args.images):
            notes.append(f"{others:,} pictures of {args.images} have no sentence and are left out")
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    for split, (ids, captions) in splits.items():
        contents[args.out / f"{split}_ids.txt"] = "".join(f"{i}\n" for i in ids)
        contents[args.out / f"{split}_caps.txt"] = "".join(f"{line}\n" for line in captions)
    with exclusive(args.out):
        write(contents, args.overwrite)
    for split, (ids, captions) in splits.items():
        print(f"{split}: {len(ids):,} images, {len(captions):,} captions")


def write(contents: dict[Path, str], overwrite: bool) -> None:
    """Write every file, or none where one is there with another content."""
    for path, text in contents.items():
        if path.exists() and not overwrite and path.read_bytes() != text.encode():
            raise InputError(f"{path}: is there with another content; --overwrite replaces it")
    for path, text in contents.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def main(words: list[str] | None = None) -> None:
    """Make the files that the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--karpathy", type=path_arg, help="dataset_coco.json or alike")
    source.add_argument("--table", type=path_arg, help="pictures and sentences of one's own")
    parser.add_argument("--images", type=path_arg, help="folder of the table's pictures")
    parser.add_argument("--dev", type=float, default=0.1, help="share of the table's pictures")
    parser.add_argument("--test", type=float, default=0.2, help="likewise")
    parser.add_argument("--seed", type=int, default=0, help="deals them out")
    parser.add_argument("--out", type=path_arg, required=True, help="as data/coco_precomp; made")
    parser.add_argument("--overwrite", action="store_true", help="replace files that differ")
    args = parser.parse_args(words)
    if args.table and not args.images:
        parser.error("--table needs --images, the folder of its pictures")
    if not (args.dev >= 0 and args.test >= 0 and args.dev + args.test < 1 and args.seed >= 0):
        parser.error("--dev and --test are shares that leave something to train on; no --seed < 0")
    with exit_on_error():
        prepare(args)


if __name__ == "__main__":
    main()
