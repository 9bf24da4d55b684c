"""Puts a trained model on the Hugging Face hub, from where eval.py --checkpoint hf://NAME reads it.

python scripts/push_to_hub.py runs/f30k_region --repo me/3shnet-f30k-region --dry-run
python scripts/push_to_hub.py runs/f30k_region --repo me/3shnet-f30k-region --licence cc-by-4.0

The folder RUN/hub gets the best weights as safetensors, config.yaml, the vocabulary, checksums and
a model card with the results of RUN/results.json; --dry-run stops there. A card that is in it stays
as it is, so that it can be filled in. Log in first: hf auth login."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.checkpoint import BEST, Checkpoint, checkpoint_of, load_checkpoint, load_tokenizer
from lib.errors import InputError, exit_on_error
from lib.evaluation.evaluator import origin_of
from lib.evaluation.model_card import TO_FILL_IN, model_card
from lib.evaluation.records import Record, read_record
from lib.files import atomic_write, read_json
from lib.models import family_of
from lib.models.common.hub import HUB, HubRepository, require_repo_name
from lib.outputs import exclusive
from lib.portable import CARD, MANIFEST, is_portable, write_portable

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
        "--overwrite",
        action="store_true",
        help="write the card anew; push over a model that is there",
    )
    args = parser.parse_args(words)
    with exit_on_error():
        require_repo_name(args.repo)
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
        there = repository.files()
        if there & {MANIFEST, "model.safetensors", "config.json"} and not args.overwrite:
            raise InputError(
                f"{HUB}{args.repo}: holds a model; --overwrite pushes over it (the hub keeps its "
                "history), or choose another --repo"
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
    if folder.is_dir() and any(folder.iterdir()) and not is_portable(folder):
        raise InputError(f"{folder}: is there and holds something else; move it away")
    records = records_of(args, path, checkpoint)
    config = checkpoint.config
    tokenizer = load_tokenizer(checkpoint, path, config.data.root)
    texts = family_of(config.model).travelling(config.model, tokenizer)
    environment = args.run / "environment.json"
    sessions = read_json(environment, "record of a run") if environment.is_file() else []
    with exclusive(folder):
        about = (checkpoint.model, checkpoint.tokenizer, checkpoint.progress)
        files = write_portable(folder, config, *about, texts)
        if args.overwrite or not (folder / CARD).exists():
            told = (checkpoint.title, args.repo, config, checkpoint.progress, sessions, records)
            with atomic_write(folder / CARD) as temporary:
                temporary.write_text(model_card(*told, args.licence, CODE), encoding="utf-8")
        elif args.licence is not None:
            raise InputError(f"{folder / CARD}: is there already; edit it, or --overwrite it")
    return [*files, CARD]


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
        same = (theirs.model, theirs.seed, theirs.epoch) == (own.model, own.seed, own.epoch)
        if len(record.members) > 1 or not same:
            raise InputError(
                f"{one}: holds results of {theirs.title}, seed {theirs.seed}, epoch "
                f"{theirs.epoch}; {path} is {own.title}, seed {own.seed}, epoch {own.epoch}"
            )
        records.append(record)
    return records


if __name__ == "__main__":
    main()
