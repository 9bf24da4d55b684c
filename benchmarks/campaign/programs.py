"""A command of each program, whose paths are to be replaced."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.world import Shared


@dataclass(frozen=True)
class Slot:
    """A path of a command: an input ``file`` or ``folder``, or an ``output``, a file, or a folder
    that is ``made``; ``prefix`` stands before it, as in an override."""

    kind: str
    path: Path
    prefix: str = ""


def commands(shared: Shared) -> dict[str, list[str | Slot]]:
    """A command of each program, whose paths are to be replaced."""
    root, data, run, here = shared.root, shared.data, shared.run, Path("@")
    best, other = Slot("file", shared.checkpoint), Slot("file", shared.other)
    results = [Slot("file", path / "results.safetensors") for path in (run, root / "other")]
    embeddings = Slot("file", run / "embeddings.safetensors")
    config = Slot("file", run / "config.yaml")
    data_root, bert = Slot("folder", root), Slot("folder", shared.bert)
    target = ["--dataset", "scenes", "--device", "cpu", "--workers", "0"]
    pictures = Slot("folder", data / "images")
    into, boxes = Slot("folder", here / "data"), Slot("file", root / "boxes.json")
    read = ["--workers", "0"]
    quick = ["--device", "cpu", "--batch_size", "2", *read]
    fields = ["data.workers=0", "run.device=cpu"]
    return {
        "eval": ["eval.py", "--checkpoint", best, "--data_path", data_root, "--bert", bert, *target,
                 "--json", Slot("output", here / "r.json"), "--save_results",
                 Slot("output", here / "r.safetensors"), "--save_embeddings",
                 Slot("output", here / "e.safetensors")],
        "eval lhsc": ["eval.py", "--checkpoint", Slot("file", shared.lhsc), "--data_path",
                      data_root, "--vocab", Slot("file", root / "lhsc_vocab.json"), *target,
                      "--json", Slot("output", here / "r.json")],
        "eval shortlist": ["eval.py", "--checkpoint", Slot("file", shared.lhsc), "--data_path",
                           data_root, *target, "--shortlist", "2", "--first_stage", best, "--json",
                           Slot("output", here / "r.json")],
        "eval hub": ["eval.py", "--hub", Slot("folder", run / "hub"), "--data_path", data_root,
                     *target, "--json", Slot("output", here / "r.json")],
        "compare": ["scripts/compare.py", *results, "--resamples", "100"],
        "push_to_hub": ["scripts/push_to_hub.py", Slot("folder", run), "--repo", "me/model",
                        "--record", Slot("file", run / "results.json"), "--dry-run"],
        "eval_ensemble": ["eval_ensemble.py", *results, "--json", Slot("output", here / "r.json")],
        "eval_cross_ensemble": [
            "eval_cross_ensemble.py", "--checkpoints", best, other, "--data_path", data_root,
            "--dataset", "scenes_b", "--device", "cpu", *read, "--json",
            Slot("output", here / "r.json")],
        "search": ["scripts/search.py", "--checkpoint", best, "--embeddings", embeddings,
                   "--html", Slot("output", here / "found.html"), "--bert", bert, "--device",
                   "cpu", "--query", "a dog"],
        "train": ["train.py", "--config", config, Slot("folder", root, "data.root="),
                  Slot("folder", shared.bert, "model.bert="), "train.epochs=1", *fields,
                  Slot("made", here / "run", "run.out=")],
        "train init": ["train.py", "--config", config, Slot("folder", root, "data.root="),
                       Slot("folder", shared.bert, "model.bert="), "train.epochs=1", *fields,
                       Slot("file", shared.checkpoint, "train.init="),
                       Slot("made", here / "run", "run.out=")],
        "check_data": ["scripts/check_data.py", "--config", config,
                       Slot("folder", root, "data.root="), *fields],
        "convert_checkpoint": ["scripts/convert_checkpoint.py", best,
                               Slot("output", here / "c.pth")],
        "convert_instances": ["scripts/convert_instances.py", "--annotations",
                              Slot("file", root / "panoptic" / "instances.json"), "--out",
                              Slot("made", here / "out")],
        "convert_panoptic": ["scripts/convert_panoptic.py", "--json",
                             Slot("file", root / "panoptic" / "panoptic.json"), "--png",
                             Slot("folder", root / "panoptic" / "png"), "--data", into, *read],
        "convert_panoptic boxes": ["scripts/convert_panoptic.py", "--boxes", boxes, "--images",
                                   pictures, "--data", into, *read],
        "convert_panoptic labels": ["scripts/convert_panoptic.py", "--labels",
                                    Slot("file", root / "labels.npz"), "--data", into, *read],
        "detect_objects": ["scripts/detect_objects.py", "--data", into, "--images", pictures,
                           "--detector", "random", *quick],
        "draw_retrieval": ["scripts/draw_retrieval.py", "--embeddings", embeddings, "--data",
                           Slot("folder", data), "--out", Slot("output", here / "r.png")],
        "draw_highlights": ["scripts/draw_highlights.py", "--run", Slot("folder", run), "--data",
                            Slot("folder", data), "--keep", Slot("made", here / "kept"), "--out",
                            Slot("output", here / "h.png"), "--count", "1", "--device", "cpu",
                            *read],
        "draw_retrieval run": ["scripts/draw_retrieval.py", "--run", Slot("folder", run), "--data",
                               Slot("folder", data), "--keep", Slot("made", here / "kept"),
                               "--out", Slot("output", here / "r.pdf"), "--device", "cpu", *read],
        "report": ["scripts/report.py", Slot("file", run / "model_best.pth"), "--data",
                   Slot("folder", data), "--keep", Slot("made", here / "kept"), "--out",
                   Slot("output", here / "report.html"), "--examples", "1", "--device", "cpu",
                   *read],
        "extract_grid": ["scripts/extract_grid.py", "--data", into, "--images", pictures,
                         "--weights", "random", "--shortest", "32", "--longest", "32", "--mapping",
                         Slot("file", root / "mapping.json"), *quick],
        "extract_grid weights": ["scripts/extract_grid.py", "--data", into, "--images", pictures,
                                 "--weights", Slot("file", shared.checkpoint), *quick],
        "extract_regions": ["scripts/extract_regions.py", "--data", into, "--images", pictures,
                            "--weights", "random", "--detector", Slot("file", shared.checkpoint),
                            *quick],
        "extract_regions boxes": [
            "scripts/extract_regions.py", "--data", into, "--images", pictures, "--weights",
            "random", "--backbone", "timm:test_resnet", "--boxes", boxes, *quick],
        "fine_tune_config": ["scripts/fine_tune_config.py", "--checkpoint", best, "--out",
                             Slot("output", here / "f.yaml")],
        "extract_segmentation": ["scripts/extract_segmentation.py", "--data", into, "--images",
                                 pictures, "--model", Slot("folder", shared.bert), *quick],
        "pack_features": ["scripts/pack_features.py", "--config", config,
                          Slot("folder", root, "data.root="), "features.folder=grids",
                          "features.type=grid", "--out", Slot("made", here / "packed"), *read],
        "prepare_captions": ["scripts/prepare_captions.py", "--karpathy",
                             Slot("file", root / "karpathy.json"), "--out",
                             Slot("made", here / "out")],
        "prepare_captions table": ["scripts/prepare_captions.py", "--table",
                                   Slot("file", root / "table.tsv"), "--images", pictures, "--out",
                                   Slot("made", here / "out")],
        "results_table": ["scripts/results_table.py", Slot("file", run / "results.json"),
                          Slot("file", root / "ensemble.json")],
        "scene_graph_to_rels": ["scripts/scene_graph_to_rels.py", "--graphs",
                                Slot("file", root / "graphs.jsonl"), "--data",
                                Slot("folder", here / "rels"), "--split", "test"],
        "scenes": ["-m", "lib.demo.scenes", "--train", "1", "--dev", "1", "--test", "1", "--out",
                   Slot("made", here / "world")],
        "small_bert": ["-m", "lib.demo.small_bert", "--captions",
                       Slot("file", data / "train_caps.txt"), "--out", Slot("made", here / "bert")],
    }  # fmt: skip


def fill(words: list[str | Slot], folder: Path, shared: Shared) -> list[str]:
    """The words with their good paths; ``@`` is the case's folder."""
    folders(folder, shared)
    return [word if isinstance(word, str) else word.prefix + _good(word, folder) for word in words]


def _good(slot: Slot, folder: Path) -> str:
    return str(slot.path).replace("@", str(folder), 1)


def folders(folder: Path, shared: Shared) -> None:
    """Datasets that commands write into."""
    ids = shared.root / "panoptic" / "data" / "test_ids.txt"
    for name in ("data", "rels"):
        (folder / name).mkdir()
        shutil.copy(ids, folder / name)
    shutil.copy(shared.data / "test_ims_bbx.npy", folder / "rels")
