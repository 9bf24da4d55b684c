"""Outputs that are inputs of the same command, or outputs of something else."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign.programs import folders
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared


def alias_cases(shared: Shared) -> Iterator[Case]:
    """Outputs that are inputs of the same command, or outputs of something else, by any name."""
    copies = {"model.pth": shared.checkpoint, "other.pth": shared.other}
    for path in ("results.safetensors", "embeddings.safetensors", "results.json"):
        copies |= {path: shared.run / path, f"other_{path}": shared.root / "other" / path}
    evaluate = ["eval.py", "--checkpoint", "model.pth", "--data_path", "data", "--dataset",
                "scenes", "--device", "cpu", "--workers", "0"]  # fmt: skip
    ensemble = ["eval_ensemble.py", "results.safetensors", "other_results.safetensors"]
    cross = ["eval_cross_ensemble.py", "--checkpoints", "model.pth", "--data_path", "data",
             "--dataset", "scenes_b", "--device", "cpu", "--workers", "0"]  # fmt: skip
    caps, ids = "data/scenes_precomp/test_caps.txt", "data/scenes_precomp/test_ids.txt"
    features = "data/scenes_precomp/test_ims.npy"
    vocabulary = "data/scenes_precomp/bert/vocab.txt"
    commands_of = {
        **{f"eval {flag} {file}": [*evaluate, flag, file]
           for flag in ("--json", "--save_results", "--save_embeddings")
           for file in ("model.pth", caps, ids, features, vocabulary, "other.pth",
                        "other_embeddings.safetensors", "other_results.safetensors",
                        "other_results.json")},
        "eval one file twice": [*evaluate, "--json", "new", "--save_results", "new"],
        "eval one file by two names": [*evaluate, "--json", "new", "--save_results", "./new"],
        **{f"eval_ensemble --json {file}": [*ensemble, "--json", file]
           for file in ("results.safetensors", "model.pth", caps, "other_results.json")},
        **{f"eval_cross_ensemble --json {file}": [*cross, "--json", file]
           for file in ("model.pth", "other.pth", caps, features, "other_results.json")},
        "convert_checkpoint itself": ["scripts/convert_checkpoint.py", "model.pth", "model.pth"],
        "convert_checkpoint another": ["scripts/convert_checkpoint.py", "model.pth", "other.pth"],
        "scene_graph_to_rels an array": ["scripts/scene_graph_to_rels.py", "--graphs",
                                         "graphs.jsonl", "--data", "rels", "--split", "test"],
        "draw_retrieval --out embeddings": [
            "scripts/draw_retrieval.py", "--embeddings", "embeddings.safetensors", "--data",
            "data/scenes_precomp", "--out", "embeddings.safetensors"],
        "eval_ensemble a hard link": ["eval_ensemble.py", "results.safetensors", "hard"],
        "eval_ensemble infinite weights": [*ensemble, "--weights", "1e308", "1e308"],
        "eval_ensemble NaN weights": [*ensemble, "--weights", "nan", "1"],
    }  # fmt: skip
    for name, words in commands_of.items():
        for link in ("", "link", "hard link") if "--" in name else ("",):

            def prepare(folder: Path, words: Any = words, link: str = link) -> list[str]:
                for copy, source in copies.items():
                    shutil.copy(source, folder / copy)
                (folder / "data").mkdir()
                for dataset in ("scenes_precomp", "scenes_b_precomp"):
                    shutil.copytree(shared.root / dataset, folder / "data" / dataset)
                os.link(folder / "results.safetensors", folder / "hard")
                folders(folder / "data", shared)
                (folder / "rels").symlink_to(folder / "data" / "rels")
                shutil.copy(shared.root / "graphs.jsonl", folder)
                theirs = np.ones((5, 4, 4), np.uint8)
                np.save(folder / "data" / "rels" / "test_rels.npy", theirs)
                *rest, last = words
                if link and (folder / last).exists():
                    new = folder / "new_name"
                    if link == "link":
                        new.symlink_to(folder / last)
                    else:
                        os.link(folder / last, new)
                    last = "new_name"
                exists = {word for word in (*rest, last) if (folder / word).exists()}
                paths = exists | {"new", "./new"}
                found = [str(folder / w) if w in paths else w for w in (*rest, last)]
                return [f"{folder}/./new" if word == "./new" else word for word in found]

            yield Case(f"{name} {link}".strip(), prepare)
