"""Puts a trained model on the Hugging Face hub, from where eval.py --checkpoint hf://NAME reads it.

python scripts/push_to_hub.py runs/f30k_region --repo me/3shnet-f30k-region --dry-run
python scripts/push_to_hub.py runs/f30k_region --repo me/3shnet-f30k-region --licence cc-by-4.0

The folder RUN/hub gets the best weights as safetensors, config.yaml, the vocabulary, checksums and
a model card with the results of RUN/results.json; --dry-run stops there. A card that you have
edited stays as it is, and goes to the hub so. Log in first: hf auth login."""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.checkpoint import BEST, Checkpoint, checkpoint_of, load_checkpoint, load_tokenizer
from lib.errors import InputError, exit_on_error, few
from lib.evaluation.evaluator import origin_of
from lib.evaluation.model_card import TO_FILL_IN, model_card
from lib.evaluation.records import Origin, Record, read_record
from lib.files import read_json
from lib.models import family_of, location_options
from lib.models.common.hub import HUB, HubRepository, require_repo_name
from lib.outputs import exclusive
from lib.portable import CARD, MANIFEST, SETTINGS, WEIGHTS, is_edited, is_portable, write_portable

CODE = "the 3SHNet code base, `train.py` and `eval.py`"


def main(words: list[str] | None = None) -> None:
    """Write the folder of the command line, or of ``words``, and push it."""
    parser = new_parser(__doc__)
    parser.add_argument("run", type=path_arg, metavar="RUN", help="a run's folder")
    parser.add_argument("--repo", required=True, metavar="NAME", help="on the hub, as in me/model")
    parser.add_argument(
        "--record",
        type=path_arg,
        nargs="+",
        metavar="F",
        help="results of eval.py --json; default: RUN/results.json, if it is there",
    )
    parser.add_argument("--licence", help="the hub's name of one; default: to be filled in")
    parser.add_argument("--private", action="store_true", help="if the repository is new")
    parser.add_argument("--dry-run", action="store_true", help="write the folder, push nothing")
    parser.add_argument(
        "--new-card", action="store_true", help="write the card anew, though it was edited"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="push over what the repository holds"
    )
    args = parser.parse_args(words)
    with exit_on_error():
        require_repo_name(args.repo)
        if args.licence is not None and not re.fullmatch(r"[\w.-]+", args.licence):
            raise InputError(f"--licence {args.licence!r}: expected a name, as in cc-by-4.0")
        folder = args.run / "hub"
        files = write(args, folder)
        for name in files:
            print(f"{folder / name}: {(folder / name).stat().st_size:,} bytes")
        if TO_FILL_IN in (folder / CARD).read_text(encoding="utf-8"):
            print(f"note: {folder / CARD}: its licence is {TO_FILL_IN}", file=sys.stderr)
        if args.dry_run:
            print(f"nothing was pushed; without --dry-run this goes to {HUB}{args.repo}")
            return
        repository = HubRepository(args.repo)
        there = repository.files() - {".gitattributes"}
        if there and not args.overwrite:
            raise InputError(
                f"{HUB}{args.repo}: holds {few(sorted(there))}; --overwrite pushes over it (the "
                "hub keeps its history), or choose another --repo"
            )
        print(f"pushed: {repository.push(folder, files, args.private)}")


def write(args: argparse.Namespace, folder: Path) -> list[str]:
    """The folder's files, written. Raises InputError: the run is none, or its results are of other
    weights, or the folder holds something else."""
    path = checkpoint_of(args.run)
    if not args.run.is_dir():
        raise InputError(f"{args.run}: is a file, expected a run's folder with a {BEST}")
    checkpoint = load_checkpoint(path)
    if checkpoint.released is not None:
        raise InputError(f"{path}: is a released model, which its authors publish")
    family = family_of(checkpoint.config.model)
    ours = {WEIGHTS, SETTINGS, MANIFEST, *family.locations}
    ours |= {CARD} if is_portable(folder) else set()
    if folder.is_dir() and (
        others := sorted(one.name for one in folder.iterdir() if not _is_ours(one.name, ours))
    ):
        raise InputError(f"{folder}: holds {others[0]}, which is not this program's; move it away")
    keeps = is_edited(folder) and not args.new_card
    if keeps and args.licence is not None:
        raise InputError(
            f"{folder / CARD}: was edited and stays; write the licence there, or --new-card"
        )
    records = records_of(args, path, checkpoint)
    config = checkpoint.config
    tokenizer = load_tokenizer(checkpoint, path, config.data.root)
    texts = family.travelling(config.model, tokenizer)
    environment = args.run / "environment.json"
    sessions = read_json(environment, "record of a run") if environment.is_file() else []
    told = (checkpoint.title, args.repo, config, checkpoint.progress, sessions, records)
    card = None if keeps else model_card(*told, args.licence, CODE)
    if keeps:
        print(
            f"note: {folder / CARD}: was edited and stays as it is; --new-card writes another",
            file=sys.stderr,
        )
    with exclusive(folder):
        about = (checkpoint.model, checkpoint.tokenizer, checkpoint.progress)
        return write_portable(folder, config, *about, texts, card)


def _is_ours(name: str, ours: set[str]) -> bool:
    """Whether a file is of this program: one of its own, or a hidden one of a write or a lock."""
    return name in ours or name.startswith(".")


def records_of(args: argparse.Namespace, path: Path, checkpoint: Checkpoint) -> list[Record]:
    """The results for the card. Raises InputError: they are of other weights."""
    beside = args.run / "results.json"
    paths = args.record or ([beside] if beside.is_file() else [])
    if not paths:
        print(
            f"note: the card has no results; python eval.py --checkpoint {args.run} --json "
            f"{beside} makes them",
            file=sys.stderr,
        )
    records = []
    own = origin_of(path, checkpoint, checkpoint.config.features)
    for one in paths:
        record = read_record(one)
        if record is None:
            raise InputError(f"{one}: is no record of eval.py --json")
        theirs = record.origins[0]
        if len(record.members) > 1 or not _is_same(theirs, own):
            raise InputError(
                f"{one}: holds results of {theirs.title}, seed {theirs.seed}, epoch "
                f"{theirs.epoch}, or of other settings; {path} is {own.title}, seed {own.seed}, "
                f"epoch {own.epoch}"
            )
        records.append(record)
    return records


def _is_same(theirs: Origin, own: Origin) -> bool:
    """Whether results are of these weights, by all that a record tells of them."""
    if (theirs.identity, theirs.epoch) != (own.identity, own.epoch):
        return False
    settings = [
        {
            key: value
            for section in ("train", "model", "data")
            for key, value in (origin.config or {}).get(section, {}).items()
            if key not in ("root", "workers", "dataset", *location_options())
        }
        for origin in (theirs, own)
    ]
    shared = settings[0].keys() & settings[1].keys()  # an earlier version knew fewer
    return all(settings[0][key] == settings[1][key] for key in shared)


if __name__ == "__main__":
    main()
