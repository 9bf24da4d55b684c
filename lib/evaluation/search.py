"""Finds the pictures of a sentence among saved embeddings, by brute force.

python -m lib.evaluation.search --checkpoint P --embeddings F --query "a red kite over the sea"

The embeddings are those of eval.py --save_embeddings, of the same checkpoint."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lib.arguments import path_arg
from lib.checkpoint import load_checkpoint, load_model
from lib.data.captions import tokenise
from lib.data.dataset import text_batches
from lib.device import resolve_device
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import add_locations, locations_in
from lib.evaluation.scores import read_embeddings

Found = list[tuple[float, str]]  # score and image id, best first


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` largest of (n,) scores, largest first; equal ones in their order."""
    return np.argsort(-scores, kind="stable")[:k]


def search(
    checkpoint: str,
    embeddings: Sequence[Path],
    queries: Sequence[str],
    k: int,
    locations: dict[str, str],
    device: str = "auto",
) -> list[Found]:
    """The ``k`` best pictures of each query among files of ``eval.py --save_embeddings``;
    ``locations`` as in :class:`lib.evaluation.opened.Target`. Raises InputError: anything wrong
    with the files, or embeddings of another width."""
    galleries = {path: read_embeddings(path) for path in embeddings}
    place = resolve_device(device)
    model, tokenizer = load_model(load_checkpoint(checkpoint).relocated(locations), checkpoint)
    if model.pairwise:
        raise InputError(f"{checkpoint}: scores pairs, and has no vectors to search among")
    model = model.to(place).eval()
    batches = text_batches(tokenise(list(queries), tokenizer), len(queries), 128)
    results: list[Found] = [[] for _ in queries]
    with torch.inference_mode():
        texts = torch.cat([model.encode_texts(batch.to(place)).float() for batch in batches])
        for path, (images, _, _) in galleries.items():
            if texts.shape[1] != images.shape[1]:
                raise InputError(
                    f"{path}: holds embeddings of width {images.shape[1]}, {checkpoint} makes "
                    f"{texts.shape[1]}; save them again with this checkpoint"
                )
        gallery = np.concatenate([images for images, _, _ in galleries.values()])
        scores = model.score(torch.from_numpy(gallery).to(place), texts).cpu().numpy()
    ids = [image_id for _, _, ids in galleries.values() for image_id in ids]
    order = torch.cat([batch.indices for batch in batches]).tolist()
    for query, column in zip(order, scores.T, strict=True):
        results[query] = [(float(column[i]), ids[i]) for i in top(column, k)]
    return results


def main(words: list[str] | None = None) -> None:
    """Search for the queries of the command line, or of ``words`` instead of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="model_best.pth of either format")
    parser.add_argument(
        "--embeddings", type=path_arg, nargs="+", required=True, help="of --save_embeddings"
    )
    parser.add_argument("--query", nargs="+", required=True, help="one or more sentences")
    parser.add_argument("-k", type=int, default=10, help="pictures per sentence")
    add_locations(parser, searchable=True)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args = parser.parse_args(words)
    if args.k < 1 or not all(query.strip() for query in args.query):
        parser.error("-k must be at least 1, and no query empty")
    with exit_on_error():
        for query in args.query:
            if any("\ud800" <= sign <= "\udfff" for sign in query):
                raise InputError(f"--query {query!r}: is not UTF-8 text")
        about = (args.checkpoint, args.embeddings, args.query, args.k)
        found = search(*about, locations_in(args), args.device)
        for query, results in zip(args.query, found, strict=True):
            print(query)
            for number, (score, image_id) in enumerate(results, 1):
                print(f"{number:>4}  {score:6.3f}  {image_id}")


if __name__ == "__main__":
    main()
