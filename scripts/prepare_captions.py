"""Makes a dataset's caption and id files.

python scripts/prepare_captions.py --karpathy dataset_coco.json --out data/coco_precomp
python scripts/prepare_captions.py --table captions.txt --images PICTURES --out data/mine_precomp
python scripts/prepare_captions.py --table captions.txt --images PICTURES --lists FOLDER \\
    --out data/f8k_precomp
python scripts/prepare_captions.py --coco captions_val2017.json --images PICTURES \\
    --out data/mine_precomp

--karpathy takes the community's splits of COCO, Flickr30K and Flickr8K. --table takes sentences of
pictures: CSV (image,caption), lines of a file name, a tab and a sentence, or Flickr30K's lines with
bars. --coco takes COCO's captions. Pictures of both are dealt out to train, dev and test, unless
--lists names a folder of a data set's own lists, {train,dev,test}_ids.txt or
Flickr_8k.{train,dev,test}Images.txt. pictures.json beside the captions says which picture an id is;
the extraction commands take it as --mapping.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.annotations.caption_table import (
    SPLITS,
    dealt,
    listed,
    names_of,
    read_table,
    require_pictures,
    to_splits,
    without_sentence,
)
from lib.annotations.coco_instances import captions_of
from lib.annotations.karpathy import read_splits
from lib.arguments import new_parser, path_arg
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write
from lib.outputs import exclusive


def prepare(args: argparse.Namespace) -> None:
    """Read everything, then write it; nothing of another content is replaced unasked."""
    contents = {}
    if args.karpathy:
        read = read_splits(args.karpathy)
        splits = {split: (one.ids, one.captions) for split, one in read.items()}
        for split, one in read.items():
            if len(one.caption_ids) == len(
                one.captions
            ):  # for benchmarks that know captions by COCO's ids
                text = "".join(f"{number}\n" for number in one.caption_ids)
                contents[args.out / f"{split}_sentids.txt"] = text
    else:
        path = args.table or args.coco
        table = read_table(path) if args.table else captions_of(path)
        if not args.lists:
            require_pictures(list(table), path, args.images)
        mapping = names_of(table)
        if args.lists:
            split_ids = listed(args.lists)
            wanted = {mapping[i] for ids in split_ids.values() for i in ids if i in mapping}
            require_pictures([name for name in table if name in wanted], path, args.images)
        elif args.only:
            split_ids = {args.only: list(mapping)}
        else:
            split_ids = dealt(list(mapping), args.dev, args.test, args.seed)
        splits, notes = to_splits(table, split_ids)
        used = {i: mapping[i] for ids in split_ids.values() for i in ids}
        contents[args.out / "pictures.json"] = json.dumps(used, indent=1) + "\n"
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
    parser = new_parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--karpathy", type=path_arg, help="dataset_coco.json or alike")
    source.add_argument("--table", type=path_arg, help="pictures and sentences, as above")
    source.add_argument("--coco", type=path_arg, help="captions_val2017.json or alike")
    parser.add_argument(
        "--images", type=path_arg, help="folder of the pictures of --table or --coco"
    )
    parser.add_argument("--lists", type=path_arg, help="folder of the splits' lists of pictures")
    parser.add_argument("--only", choices=SPLITS, help="the split that all pictures go to")
    parser.add_argument(
        "--dev", type=float, default=0.1, help="share of the table's pictures that go to dev"
    )
    parser.add_argument(
        "--test", type=float, default=0.2, help="share of the table's pictures that go to test"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the dealing to splits")
    parser.add_argument(
        "--out",
        type=path_arg,
        required=True,
        help="folder to write into, as data/coco_precomp; made if missing",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that differ")
    args = parser.parse_args(words)
    if not args.karpathy and not args.images:
        parser.error("--table and --coco need --images, the folder of their pictures")
    if args.karpathy and (args.images or args.lists or args.only):
        parser.error("--images, --lists and --only are for --table and --coco")
    if args.lists and args.only:
        parser.error("--lists and --only exclude each other")
    if not (args.dev >= 0 and args.test >= 0 and args.dev + args.test < 1 and args.seed >= 0):
        parser.error("--dev and --test are shares that leave something to train on; no --seed < 0")
    with exit_on_error():
        prepare(args)


if __name__ == "__main__":
    main()
