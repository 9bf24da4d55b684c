"""The run directory: what it keeps, and when it may be written to."""

import importlib.metadata
import json
import logging
import platform
import shutil
import subprocess
from pathlib import Path

import torch
from tqdm import tqdm

from lib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lib.config import Config
from lib.distributed import rank, world_size
from lib.errors import InputError
from lib.files import atomic_write, check_writable, remove_stale
from lib.models import family_of

PACKAGES = ("numpy", "transformers", "tokenizers", "tensorboard")
RESULTS = ("results.safetensors", "results.json", "embeddings.safetensors")  # of scripts/*.sh
# Settings that may differ when a run is resumed, because no result depends on them, besides the
# family's locations; more epochs only make it longer.
FREE_ON_RESUME = {"run.out", "run.device", "data.root", "data.workers", "train.epochs"}
FREE_ON_RESUME |= {"eval.pair_memory_gb", "train.micro_batch"}  # dropout's draws depend on it alone


class _Console(logging.Handler):
    """Writes above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))


class RunDir:
    """``config.yaml``, ``environment.json``, ``train.log``, ``tensorboard/``, two checkpoints."""

    def __init__(self, config: Config):
        self.config, self.path = config, Path(config.run.out)
        self.last, self.best = self.path / "checkpoint.pth", self.path / "model_best.pth"
        self.tensorboard, self.log = self.path / "tensorboard", self.path / "train.log"
        self.environment = self.path / "environment.json"

    def resume_point(self, resume: bool, overwrite: bool) -> Checkpoint | None:
        """The checkpoint to resume from, or None to start; writes nothing. Raises InputError: a run
        is there and neither flag says what to do with it, it was trained with other settings, or
        the folder cannot be written."""
        if resume and overwrite:
            raise InputError("--resume and --overwrite exclude each other")
        check_writable(self.last)
        if overwrite:
            return None
        if not self.last.exists():
            if self.best.exists():
                raise InputError(
                    f"{self.best}: exists, but no checkpoint.pth beside it. Pass --overwrite "
                    "to discard it, or another run.out"
                )
            return None
        checkpoint = load_checkpoint(self.last)
        if checkpoint.training is None:
            raise InputError(f"{self.last}: holds weights alone, a run cannot be resumed from it")
        epoch, epochs = checkpoint.progress["epoch"], checkpoint.config.train.epochs
        if not resume:
            state = "a finished run" if epoch >= epochs else "an unfinished run"
            raise InputError(
                f"{self.path}: holds {state} ({epoch} of {epochs} epochs done). "
                "Pass --resume to resume the run, --overwrite to discard it, or another run.out"
            )
        ours, theirs = self.config.flat(), checkpoint.config.flat()
        locations = family_of(self.config.model).locations
        free = FREE_ON_RESUME | {f"model.{name}" for name in locations}
        differing = [
            f"{key} ({theirs.get(key)!r} then, {ours.get(key)!r} now)"
            for key in ours | theirs
            if ours.get(key) != theirs.get(key) and key not in free
        ]
        if differing:
            raise InputError(
                f"{self.last}: was trained with other settings: {', '.join(differing)}. "
                "Resume with the same, or start elsewhere with another run.out"
            )
        return checkpoint

    def start(self, command: list[str], fresh: bool) -> logging.Logger:
        """Open the folder for a run; ``fresh`` discards an overwritten run. Rank 0 alone writes."""
        logger = logging.getLogger(f"run.{self.path}")
        logger.setLevel(logging.INFO if rank() == 0 else logging.CRITICAL)
        logger.propagate = False
        if rank() > 0:
            return logger
        session = environment(command)
        remove_stale(self.path)
        if fresh:
            # Results are of the discarded weights; a table would take them for the new run's.
            results = [self.path / name for name in RESULTS]
            for path in (self.last, self.best, self.log, self.environment, *results):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.tensorboard, ignore_errors=True)
        with atomic_write(self.path / "config.yaml") as temporary:
            temporary.write_text(self.config.to_yaml(), encoding="utf-8")
        sessions = json.loads(self.environment.read_text()) if self.environment.exists() else []
        with atomic_write(self.environment) as temporary:
            temporary.write_text(json.dumps([*sessions, session], indent=1) + "\n")
        for handler in list(logger.handlers):  # of an earlier run in this process
            logger.removeHandler(handler)
            handler.close()
        for handler in (_Console(), logging.FileHandler(self.log)):
            handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
            logger.addHandler(handler)
        return logger

    def save(self, checkpoint: Checkpoint, best: bool) -> None:
        """Write ``checkpoint.pth``, and ``model_best.pth`` first if this is the best so far."""
        # In this order a kill in between repeats the epoch, and no best epoch is ever lost.
        for path in (self.best, self.last) if best else (self.last,):
            save_checkpoint(path, checkpoint)


def environment(command: list[str]) -> dict:
    """Command line, library versions, commit and hardware, as plain data."""
    root = Path(__file__).parents[2]
    command_line = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command_line, capture_output=True, text=True).stdout.strip()
    except OSError:  # a machine without git
        commit = ""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "command": command,
        "commit": commit or None,
        "python": platform.python_version(),
        "torch": torch.__version__,  # names the CUDA it was built for, as the metadata does not
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "gpu": gpu,
        "world_size": world_size(),
        "threads": torch.get_num_threads(),
    }
