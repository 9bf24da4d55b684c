"""Finds the pictures of a sentence among saved embeddings, by brute force or with an index.

python -m lib.evaluation.search --checkpoint P --embeddings F.npz --query "a red kite over the sea"

The embeddings are those of eval.py --save_embeddings, of the same checkpoint. --index F.faiss keeps
an index of them, built the first time: exact up to a million pictures, approximate beyond.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from lib.checkpoint import load_checkpoint
from lib.data.captions import tokenise
from lib.data.dataset import text_batches
from lib.device import resolve_device
from lib.errors import InputError, first_line, reported
from lib.evaluation.gallery import open_index
from lib.scoring import load_model


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` largest of (n,) scores, largest first; equal ones in their order."""
    return np.argsort(-scores, kind="stable")[:k]


def read_images(path: Path) -> tuple[np.ndarray, list[str]]:
    """Image embeddings (n, D) float32 and their ids from ``eval.py --save_embeddings``.

    Raises:
        InputError: no such file, or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            images, ids = saved["images"], [str(image_id) for image_id in saved["image_ids"]]
        if images.ndim != 2 or len(images) != len(ids) or images.dtype.kind != "f":
            raise ValueError(f"its images are {images.shape} {images.dtype} for {len(ids)} ids")
    except Exception as error:  # NumPy fails on damaged files in many ways
        raise InputError(
            f"{path}: holds no embeddings of eval.py --save_embeddings ({first_line(error)})"
        ) from error
    return images.astype(np.float32), ids


def search(args: argparse.Namespace) -> list[list[tuple[float, str]]]:
    """For each query its best pictures: (score, image id), best first.

    Raises:
        InputError: anything wrong with the files, or embeddings of another width.
    """
    galleries = {path: read_images(path) for path in args.embeddings}
    device = resolve_device(args.device)
    model, tokenizer, bert = load_model(
        load_checkpoint(args.checkpoint), args.checkpoint, args.bert
    )
    if model.pairwise:
        raise InputError(f"{args.checkpoint}: scores pairs, and has no vectors to search among")
    model = model.to(device).eval()
    queries = text_batches(tokenise(args.query, tokenizer, bert), len(args.query), 128)
    results: list[list[tuple[float, str]]] = [[] for _ in args.query]
    with torch.inference_mode():
        texts = torch.cat([model.encode_texts(batch.to(device)).float() for batch in queries])
        for path, (images, _) in galleries.items():
            if texts.shape[1] != images.shape[1]:
                raise InputError(
                    f"{path}: holds embeddings of width {images.shape[1]}, {args.checkpoint} makes "
                    f"{texts.shape[1]}; save them anew with this checkpoint"
                )
        gallery = np.concatenate([images for images, _ in galleries.values()])
        ids = [image_id for _, ids in galleries.values() for image_id in ids]
        if args.index is None:
            scores = model.score(torch.from_numpy(gallery).to(device), texts).cpu().numpy()
            best = np.stack([top(column, args.k) for column in scores.T])
            values = np.take_along_axis(scores.T, best, axis=1)
        else:
            values, best = open_index(args.index, gallery).search(texts.cpu().numpy(), args.k)
    for row, query in enumerate(torch.cat([batch.indices for batch in queries]).tolist()):
        found = zip(values[row].tolist(), best[row].tolist(), strict=True)
        results[query] = [(value, ids[i]) for value, i in found if i >= 0]  # -1 fills up
    return results


def main(words: list[str] | None = None) -> None:
    """Search for the queries of the command line, or of ``words`` instead of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="model_best.pth of either format")
    parser.add_argument(
        "--embeddings", type=Path, nargs="+", required=True, help="of --save_embeddings"
    )
    parser.add_argument("--query", nargs="+", required=True, help="one or more sentences")
    parser.add_argument("-k", type=int, default=10, help="pictures per sentence")
    parser.add_argument("--index", type=Path, metavar="F.faiss", help="built where there is none")
    parser.add_argument("--bert", help="hub name or folder; needs only a config and a vocabulary")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args = parser.parse_args(words)
    if args.k < 1 or not all(query.strip() for query in args.query):
        parser.error("-k must be at least 1, and no query empty")
    with reported():
        for query, results in zip(args.query, search(args), strict=True):
            print(query)
            for rank, (score, image_id) in enumerate(results, 1):
                print(f"{rank:>4}  {score:6.3f}  {image_id}")


if __name__ == "__main__":
    main()
