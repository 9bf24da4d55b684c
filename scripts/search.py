"""Finds the pictures of a sentence among saved embeddings, by brute force or by an index.

python eval.py --checkpoint runs/mine/grid --save_embeddings runs/mine/grid/embeddings.safetensors
python scripts/search.py --checkpoint runs/mine/grid --query "two dogs on a beach"
python scripts/search.py --checkpoint runs/mine/grid --query "two dogs" "a kite" --html found.html

Prints score, image id and file of the best pictures, or writes a page that shows them. The
embeddings are those of eval.py --save_embeddings, of the same checkpoint. Those in shards are
mapped, not loaded, and searched by the index that scripts/build_index.py made of them, if any.
"""

import shlex
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from lib.arguments import DEVICE_HELP, new_parser, path_arg
from lib.checkpoint import load_checkpoint, source_of
from lib.data.pictures import PictureError, PictureFolder, read_mapping
from lib.data.split import dataset_folder
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import CHECKPOINT_HELP, add_locations, locations_in
from lib.evaluation.embedding_shards import EmbeddingShards, is_shards
from lib.evaluation.index_builder import LEAST
from lib.evaluation.opened import trained_on
from lib.evaluation.scores import read_metadata
from lib.evaluation.search import Found, search
from lib.evaluation.vector_index import CANDIDATES, PROBES
from lib.evaluation.vectors import How, Vectors
from lib.files import atomic_write
from lib.models import family_of
from lib.models.common.hub import is_hub_word
from lib.outputs import check_outputs

EMBEDDINGS = "embeddings"  # beside a checkpoint: one file, a folder of several, or of shards


def embeddings_of(checkpoint: str) -> list[Path]:
    """The embeddings beside a checkpoint. Raises InputError: there are none."""
    if is_hub_word(checkpoint) or Path(checkpoint).is_dir():
        raise InputError(
            f"{checkpoint}: has no embeddings beside it; eval.py --save_embeddings F makes them, "
            "and --embeddings F names them"
        )
    base = Path(checkpoint).with_name(EMBEDDINGS)
    one = base.with_suffix(".safetensors")
    if is_shards(base) and not one.is_file():
        return [base]
    if found := [one] if one.is_file() else sorted(base.glob("*.safetensors")):
        return found
    if family_of(load_checkpoint(checkpoint).config.model).pairwise:
        raise InputError(f"{checkpoint}: scores pairs, and has no vectors to search among")
    command = [
        "eval.py",
        "--checkpoint",
        str(Path(checkpoint).parent),
        "--save_embeddings",
        str(one),
    ]
    raise InputError(
        f"{one}: no such file; {shlex.join(['python', *command])} makes it, or --embeddings names "
        "another"
    )


class Names:
    """Image ids to files: paths where the pictures are there, names where only a mapping is."""

    def __init__(self, data_path: Path | None, images: Path | None, mapping: Path | None):
        """``images`` and ``mapping`` as the command line gives them; what is left out is looked for
        in the data set's folder. Raises InputError: what is named is missing."""
        self.data_path, self.images, self.mapping = data_path, images, mapping
        self.known: dict[str, PictureFolder | dict[str, str]] = {}
        self.datasets: dict[Path, str] = {}  # of each file or folder of embeddings
        if images is not None and not images.is_dir():
            raise InputError(f"{images}: no such folder of pictures")

    def of(self, found: Found) -> str:
        """A picture's file; empty where that is not known."""
        if found.embeddings not in self.datasets:
            path = found.embeddings
            about = (
                EmbeddingShards(path).dataset if path.is_dir() else read_metadata(path)["dataset"]
            )
            self.datasets[path] = about
        pictures = self._pictures(self.datasets[found.embeddings])
        if isinstance(pictures, dict):
            return pictures.get(found.image_id, "")
        try:
            return str(pictures.find(found.image_id))
        except PictureError:
            return ""

    def _pictures(self, dataset: str) -> PictureFolder | dict[str, str]:
        if dataset not in self.known:
            self.known[dataset] = self._look(dataset)
        return self.known[dataset]

    def _look(self, dataset: str) -> PictureFolder | dict[str, str]:
        mapping, folder = self.mapping, None
        if self.data_path is not None:
            try:
                folder = dataset_folder(self.data_path, dataset)
            except InputError:
                folder = None
        if folder is not None and mapping is None and (folder / "pictures.json").is_file():
            mapping = folder / "pictures.json"
        if self.images is not None:
            return PictureFolder(self.images, mapping)
        if folder is not None and (folder / "images").is_dir():
            return PictureFolder(folder / "images", mapping)
        return {} if mapping is None else read_mapping(mapping)


def require_page(mark: str, path: Path) -> None:
    """The rule for --html: an earlier page of a search."""
    with path.open("rb") as file:
        if f'<meta name="generator" content="{mark}">'.encode() not in file.read(500):
            raise InputError(f"{path}: is there and is no page of a search; choose another --html")


def main(words: list[str] | None = None) -> None:
    """Search for the queries of the command line, or of ``words`` instead of it."""
    parser = new_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, help=CHECKPOINT_HELP)
    parser.add_argument("--query", nargs="+", required=True, help="one or more sentences")
    parser.add_argument(
        "--embeddings",
        type=path_arg,
        nargs="+",
        help="files or folders of eval.py --save_embeddings; default: embeddings.safetensors, or "
        "embeddings/, beside the checkpoint",
    )
    parser.add_argument(
        "--exact", action="store_true", help="compare all vectors, though there is an index"
    )
    parser.add_argument(
        "--probes", type=int, help=f"lists of an index that are read; default: {PROBES}"
    )
    parser.add_argument(
        "--candidates",
        type=int,
        help=f"best vectors of an index that are scored exactly; default: {CANDIDATES:,}",
    )
    parser.add_argument("-k", type=int, default=10, help="how many pictures per sentence")
    parser.add_argument(
        "--html", type=path_arg, metavar="F", help="write a page with the pictures into this .html"
    )
    parser.add_argument(
        "--images",
        type=path_arg,
        metavar="FOLDER",
        help="folder of the pictures; default: images/ of the dataset",
    )
    parser.add_argument(
        "--mapping",
        type=path_arg,
        help="JSON object, image id -> file inside --images; default: the dataset's pictures.json",
    )
    parser.add_argument(
        "--data_path",
        type=path_arg,
        help="folder that holds <dataset>_precomp/; default: the one trained on",
    )
    add_locations(parser, searchable=True)
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help=DEVICE_HELP
    )
    args = parser.parse_args(words)
    asked = {"--probes": args.probes, "--candidates": args.candidates}
    asked = {name: value for name, value in asked.items() if value is not None}
    if min([args.k, *asked.values()]) < 1:
        parser.error("-k, --probes and --candidates must be at least 1")
    if args.exact and asked:
        parser.error(f"{' and '.join(asked)}: --exact reads no index")
    if not all(query.strip() for query in args.query):
        parser.error("a --query is empty")
    with exit_on_error():
        if args.html and args.html.suffix != ".html":
            raise InputError(f"--html {args.html}: expected a name that ends in .html")
        for query in args.query:
            if any("\ud800" <= sign <= "\udfff" for sign in query):
                raise InputError(f"--query {query!r}: is not UTF-8 text")
        checkpoint = source_of(args.checkpoint)
        files = args.embeddings or embeddings_of(checkpoint)
        if args.html:
            try:
                from lib.display.search_page import MARK, Hit, build_search_page
            except ImportError as error:
                raise InputError(
                    f"--html needs {error.name}, an extra: pip install jinja2, with the version in "
                    "requirements.txt"
                ) from error
            check_outputs([(args.html, partial(require_page, MARK))], [checkpoint, *files])
        how = How(args.exact, args.probes or PROBES, args.candidates or CANDIDATES)
        vectors = [Vectors(path, how) for path in files]
        if asked and all(one.index is None for one in vectors):
            raise InputError(
                f"{' and '.join(asked)}: no index at {', '.join(map(str, files))}; "
                f"scripts/build_index.py makes one of {LEAST:,} embeddings in shards, or more"
            )
        for advice in filter(None, (one.advice for one in vectors)):
            print(f"note: {advice}", file=sys.stderr)
        root = args.data_path
        if root is None and (trained := trained_on(checkpoint)) is not None:
            root = Path(trained.root)
        names = Names(root, args.images, args.mapping)
        about = (checkpoint, vectors, args.query, args.k)
        results = search(*about, locations_in(args), args.device)
        for query, found in zip(args.query, results, strict=True):
            print(query)
            for number, one in enumerate(found, 1):
                line = f"{number:>4}  {one.score:6.3f}  {one.image_id}  {names.of(one)}"
                print(line.rstrip())
        if args.html:
            title = load_checkpoint(checkpoint).title
            hits = [[Hit(one.score, one.image_id, names.of(one)) for one in f] for f in results]
            command = shlex.join(["python", "scripts/search.py", *(words or sys.argv[1:])])
            page = build_search_page(title, list(zip(args.query, hits, strict=True)), command)
            with atomic_write(args.html) as temporary:
                temporary.write_text(page, encoding="utf-8")
            print(f"{args.html}: the pictures")
            if not any(Path(hit.file).is_file() for some in hits for hit in some):
                print(
                    "note: none of them could be shown; --images FOLDER says where they are",
                    file=sys.stderr,
                )


if __name__ == "__main__":
    main()
