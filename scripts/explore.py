"""A page in the browser on what a model retrieves and what it looks at.

python scripts/explore.py --run runs/f8k/region-0 --data data/f8k_precomp --images IMAGES
python scripts/explore.py --run runs/a runs/b                # two runs side by side on one query
python scripts/explore.py --run coco.pth --data data/coco_precomp --bert FOLDER    # a released file

Type a sentence: pictures are ranked. Click on a picture: its sentences are ranked, and what the
model looked at lies over it. A run is a folder of train.py or a checkpoint of either format. Its
split is encoded once and kept in explorer/ beside the checkpoint. The page is at the address that
is printed, on this machine alone unless --host says otherwise; /docs there describes the JSON API.
"""

import argparse
import ipaddress
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from lib.arguments import path_arg
from lib.checkpoint import load_checkpoint
from lib.config import PRECISIONS
from lib.data.pictures import PictureFolder
from lib.data.split import dataset_folder
from lib.device import default_workers
from lib.display.gallery import Gallery, checkpoint_of
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import add_locations, locations_in
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.protocols import default_split

MOST_AT_ONCE = 64  # connections; more are told to come again
LOCAL = ("127.0.0.1", "localhost", "::1")


def where(data: Path | None, run: Path) -> tuple[str, str]:
    """--data -> data path and data set; without it, those that the run was trained on. Raises
    InputError: a folder of another name."""
    if data is None:
        config = load_checkpoint(checkpoint_of(run)).config.data
        return config.root, config.dataset
    folder = data.resolve()
    if folder.name == "precomp":
        return str(folder.parents[1]), folder.parent.name
    if folder.name.endswith("_precomp"):
        return str(folder.parent), folder.name.removesuffix("_precomp")
    raise InputError(f"--data {data}: expected a folder <dataset>_precomp or <dataset>/precomp")


def pictures_of(args: argparse.Namespace, folder: Path) -> PictureFolder | None:
    """The pictures to show; None: there are none beside the data and none are named."""
    images = args.images or folder / "images"
    if args.images is None and not images.is_dir():
        print("note: no pictures are shown; --images FOLDER says where they are", file=sys.stderr)
        return None
    own = folder / "pictures.json"
    return PictureFolder(images, args.mapping or (own if own.is_file() else None))


def main(words: list[str] | None = None) -> None:
    """Serve what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=path_arg, nargs="+", required=True, help="one or more")
    parser.add_argument(
        "--data", type=path_arg, help="a folder <dataset>_precomp; default: the training's"
    )
    parser.add_argument("--images", type=path_arg, help="of pictures; default: images/ in --data")
    parser.add_argument(
        "--mapping", type=path_arg, help="image id -> file; default: pictures.json in --data"
    )
    parser.add_argument("--split", help="default: testall for coco, else test")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    parser.add_argument("--host", default=LOCAL[0], help="default: 127.0.0.1, this machine alone")
    parser.add_argument(
        "--keep", type=path_arg, help="folder of encodings; default: explorer/ by the checkpoint"
    )
    parser.add_argument(
        "--features", choices=("region", "grid"), help="of a released file; default: region"
    )
    parser.add_argument("--features_folder", help="of one file per image, in --data")
    add_locations(parser)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=default_workers(2), help="loading processes")
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    args = parser.parse_args(words)
    if not 0 <= args.port < 65536 or args.workers < 0:
        parser.error("--port must be from 0 to 65535, --workers at least 0")
    with exit_on_error():
        serve(args)


def serve(args: argparse.Namespace) -> None:
    """Encode what is not encoded yet, and answer requests until Ctrl-C."""
    try:
        import uvicorn

        from lib.display.app import build_app
    except ImportError as error:
        raise InputError(
            f"the explorer needs {error.name}, an extra: pip install fastapi uvicorn, with the "
            "versions in requirements.txt"
        ) from error
    root, dataset = where(args.data, args.run[0])
    folder = dataset_folder(root, dataset)
    listener = _listener(args.host, args.port)
    with listener:
        pictures = pictures_of(args, folder)
        about = {"device": args.device, "workers": args.workers, "precision": args.precision}
        split = args.split or default_split(dataset)
        target = Target(root, dataset, split, locations_in(args), **about)
        galleries = []
        for number, run in enumerate(args.run):
            choice = FeatureChoice(args.features, args.features_folder)
            keep = args.keep if args.keep is None or len(args.run) == 1 else args.keep / str(number)
            say = _say
            galleries.append(Gallery(run, target, choice, keep, say))
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        everywhere = ipaddress.ip_address(host).is_unspecified
        hosts = ["*"] if everywhere else [*LOCAL, host, args.host]
        if not ipaddress.ip_address(host).is_loopback:
            _say(f"note: {args.host} can be reached from other machines")
        listener.listen()  # who comes before the server waits for it
        _say(f"Open http://{shown}:{port}/ in a browser; Ctrl-C ends it.")
        config = uvicorn.Config(
            build_app(galleries, pictures, hosts),
            log_level="warning",
            limit_concurrency=MOST_AT_ONCE,
            h11_max_incomplete_event_size=16_384,  # of a request's head
        )
        uvicorn.Server(config).run(sockets=[listener])


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("note: ") else sys.stdout, flush=True)


def _listener(host: str, port: int) -> socket.socket:
    """The socket that requests come to, before anything is encoded. Raises InputError: no such
    address, or the port is taken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); "
            "choose another --port"
        ) from error
    return listener


if __name__ == "__main__":
    main()
