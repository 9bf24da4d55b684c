"""Saved embeddings in place of saved scores, which are computed when they are asked for."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards, is_shards
from lib.evaluation.products import Products
from lib.evaluation.records import ORIGIN
from lib.evaluation.scores import SavedScores, read_embeddings, read_metadata


class SavedEmbeddings(Products):
    """A file or folder of ``eval.py --save_embeddings``: products of images and captions, of which
    no matrix is held. What :class:`lib.evaluation.scores.SavedScores` tells, it tells too."""

    def __init__(self, path: str | Path):
        """Raises InputError: no such embeddings, damaged, or without captions."""
        self.path = Path(path)
        if self.path.is_dir():
            shards = EmbeddingShards(self.path)
            if shards.captions is None:
                raise InputError(f"{path}: holds no captions, and so no scores")
            shards.require_undamaged()
            self.dataset, self.split = shards.dataset, shards.split
            self.origin, self.image_ids = shards.origin, shards.image_ids
            super().__init__(shards.images, shards.captions)
            return
        images, captions, self.image_ids = read_embeddings(self.path)
        about = read_metadata(self.path)
        self.dataset, self.split = str(about["dataset"]), str(about["split"])
        self.origin = ORIGIN.validate_python(about["origin"])
        super().__init__(images, captions)


def open_member(path: str | Path) -> SavedScores | SavedEmbeddings:
    """What scores are read from: saved ones, or saved embeddings. Raises InputError: neither, or
    damaged."""
    if Path(path).is_dir():
        if not is_shards(Path(path)):
            raise InputError(
                f"{path}: is a folder without embeddings; expected a file of eval.py "
                "--save_results, or a file or folder of --save_embeddings"
            )
        return SavedEmbeddings(path)
    try:
        with safe_open(path, "numpy") as file:
            embeddings = "images" in file.keys()  # noqa: SIM118
    except (OSError, SafetensorError):  # a released file, or one that is told what is wrong with it
        embeddings = False
    return SavedEmbeddings(path) if embeddings else SavedScores(path)
