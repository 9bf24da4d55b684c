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

from lib.arguments import new_parser, path_arg
from lib.display.arguments import add_arguments, galleries_of, pictures_of
from lib.errors import InputError, exit_on_error

LOCAL = ("127.0.0.1", "localhost", "::1")


def main(words: list[str] | None = None) -> None:
    """Serve what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--run",
        type=path_arg,
        nargs="+",
        required=True,
        help="one or more run folders or checkpoints",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port of the page; 0 takes any free one"
    )
    parser.add_argument(
        "--host", default=LOCAL[0], help="address to serve at; the default is this machine alone"
    )
    parser.add_argument(
        "--embeddings",
        type=path_arg,
        nargs="+",
        metavar="FOLDER",
        help="of eval.py --save_embeddings FOLDER, one per run, in place of encodings that are "
        "kept; searched by their index, if they have one",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compare all vectors of --embeddings, though they have an index",
    )
    add_arguments(parser)
    args = parser.parse_args(words)
    if not 0 <= args.port < 65536 or args.workers < 0:
        parser.error("--port must be from 0 to 65535, --workers at least 0")
    if args.embeddings and args.keep:
        parser.error("--embeddings are there already, and --keep says where encodings go")
    if args.exact and not args.embeddings:
        parser.error("--exact is for --embeddings")
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
    listener = _listener(args.host, args.port)
    with listener:
        pictures = pictures_of(args, args.run)
        galleries = galleries_of(args, args.run, args.embeddings, args.exact)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        everywhere = ipaddress.ip_address(host).is_unspecified
        hosts = ["*"] if everywhere else [*LOCAL, host, args.host]
        if not ipaddress.ip_address(host).is_loopback:
            print(f"note: {args.host} can be reached from other machines", file=sys.stderr)
        listener.listen()  # who comes before the server waits for it
        print(f"Open http://{shown}:{port}/ in a browser; Ctrl-C ends it.", flush=True)
        config = uvicorn.Config(build_app(galleries, pictures, hosts), log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


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
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); choose "
            "another port, or an address of this machine"
        ) from error
    return listener


if __name__ == "__main__":
    main()
