"""Encodes a split into a folder of shards; with torchrun or Slurm each process takes its share."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.checkpoint import Checkpoint
from lib.data.split import Split
from lib.device import default_workers, encoding_batch
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.encode import encode_part
from lib.evaluation.opened import Opened, Target
from lib.evaluation.records import Origin
from lib.evaluation.shard_writer import ShardWriter
from lib.files import file_sha256, text_sha256
from lib.models.common.hub import READ, WEIGHTS, is_hub_word, local_folder
from lib.outputs import shared
from lib.share import ALONE, Share

DTYPES = ("float16", "float32")
EVERY = 60.0  # seconds between two lines that tell how far it is


class Unscored(Exception):
    """Why there is nothing to score though all went well: other processes are still at work, or
    the split is of pictures alone."""


@dataclass(frozen=True)
class Keep:
    """Where embeddings are kept, and which of their shards this process makes."""

    folder: Path
    dtype: str = DTYPES[0]
    share: Share = ALONE
    # Nothing but embeddings is asked for, so that a split without captions will do.
    pictures_alone: bool = False


def encode_shards(
    keep: Keep, path: str, opened: Opened, target: Target, origin: Origin
) -> EmbeddingShards:
    """Encode this process's shards of a split with the checkpoint at ``path``, but for those that
    are there already, then merge all. Batches follow from the split, so that shards are the same,
    byte for byte, however many processes make them on one kind of machine. Raises
    :class:`Unscored`, but for the process that finishes last, and where there are no captions;
    InputError: NaN or infinite features or vectors, the folder cannot be written, or another
    launch is writing it."""
    model, split = opened.model, opened.split
    device = next(model.parameters()).device
    size = target.batch_size or encoding_batch(device)
    key = key_of(path, opened.checkpoint, split, target)
    key |= {"features": opened.config.features.model_dump(exclude={"folder"})}
    key |= {"batch_size": size, "device": device.type}
    about = (target.dataset, target.split, origin)
    workers = target.workers
    if not keep.share.alone:  # on the cores that the processes of this machine have between them
        workers = default_workers(most=workers, processes=keep.share.local_world_size)
    # Before anything is removed that another launch may be writing.
    with shared(keep.folder, "encoding", keep.share):
        writer = ShardWriter(keep.folder, split.image_ids, about, key, keep.dtype, size)
        if writer.was_finished and keep.share.rank > 0:
            then = "; process 1 scores it" if split.captions else ""
            raise Unscored(keep.share.told(f"{keep.folder} is finished{then}"))
        if writer.was_finished:
            return _to_score(EmbeddingShards(keep.folder).require_undamaged(), keep, split)
        own = keep.share.of(writer.shards)
        missing = [shard for shard in own if not writer.is_done(shard)]
        if len(missing) < len(own):
            there = f"{len(own) - len(missing):,} of {len(own):,} shards are there already"
            print(keep.share.told(f"{keep.folder}: {there}"), flush=True)
        with _told_when_stopped(keep):
            last = time.monotonic()
            for number, shard in enumerate(missing, 1):
                work = (size, workers, shard, target.precision)
                encoded = encode_part(model, split, opened.captions, *work)
                captions = None if encoded.captions is None else encoded.captions.numpy()
                writer.write(shard, encoded.images.numpy(), captions)
                if time.monotonic() - last >= EVERY:
                    last = time.monotonic()
                    done = f"{number:,} of {len(missing):,} shards are encoded"
                    print(keep.share.told(f"{keep.folder}: {done}"), flush=True)
        if (found := writer.merge()) is None:
            then = "scores all" if split.captions else "merges all"
            told = f"its shards of {keep.folder} are done; whoever finishes last {then}"
            raise Unscored(keep.share.told(told))
    return _to_score(found, keep, split)


@contextmanager
def _told_when_stopped(keep: Keep) -> Iterator[None]:
    """A block after whose interruption the reader is told what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        told = f"{keep.folder}: stopped; its finished shards stay, and the same command goes on"
        print(keep.share.told(told), file=sys.stderr, flush=True)
        raise


def _to_score(found: EmbeddingShards, keep: Keep, split: Split) -> EmbeddingShards:
    """Embeddings, where there are captions among them. Raises Unscored."""
    if found.captions is None:
        told = f"{found.path}: {len(found.ids):,} pictures of {split.name}; there is no "
        raise Unscored(keep.share.told(f"{told}{split.name}_caps.txt, so nothing is scored"))
    return found


def identity_of(path: str) -> str:
    """What tells a checkpoint from every other: the checksum of its file, or of the files of its
    folder; or its revision on the hub."""
    if is_hub_word(path):
        return local_folder(path).name
    folder = Path(path)
    if not folder.is_dir():
        return file_sha256(folder)
    files = sorted({file for pattern in (*READ, *WEIGHTS) for file in folder.glob(pattern)})
    return text_sha256([f"{file.name} {file_sha256(file)}" for file in files])


def key_of(path: str, checkpoint: Checkpoint, split: Split, target: Target) -> dict[str, Any]:
    """Plain data that says which encodings a checkpoint makes of a split."""
    fingerprint = split.fingerprint()
    return {
        "checkpoint": identity_of(path),
        "captions": fingerprint.pop("captions"),
        "split": fingerprint,
        "files": split.files_sha256(),
        "precision": target.precision,
        "locations": target.locations,
    }
