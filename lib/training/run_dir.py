"""The run directory: what it keeps, and when it may be written to."""

import importlib.metadata
import json
import logging
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from tqdm import tqdm

from lib.checkpoint import Checkpoint, holds_checkpoint, load_checkpoint, save_checkpoint
from lib.config import Config
from lib.distributed import rank, world_size
from lib.errors import InputError, few, first_line
from lib.evaluation.records import read_record
from lib.evaluation.scores import read_metadata
from lib.files import (
    atomic_write,
    check_writable,
    file_sha256,
    read_json,
    remove_stale,
    text_sha256,
)
from lib.models import family_of
from lib.outputs import exclusive

PACKAGES = ("numpy", "transformers", "tokenizers", "tensorboard")
RESULTS = ("results.safetensors", "results.json", "embeddings.safetensors")  # of scripts/*.sh
EVENTS = "events.out.tfevents.*"  # TensorBoard's files
# Settings that may differ when a run is resumed, because no result depends on them, besides the
# family's locations; more epochs only make it longer.
FREE_ON_RESUME = {"run.out", "run.device", "data.root", "data.workers", "train.epochs"}
FREE_ON_RESUME |= {"eval.pair_memory_gb", "train.micro_batch"}  # dropout's draws depend on it alone


class _Console(logging.Handler):
    """Writes above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))


class RunDir:
    """``config.yaml``, ``environment.json``, ``train.log``, ``tensorboard/``, two checkpoints, and
    ``vocab.json`` of a run that has its own vocabulary."""

    def __init__(self, config: Config):
        self.config, self.path = config, Path(config.run.out)
        self.last, self.best = self.path / "checkpoint.pth", self.path / "model_best.pth"
        self.tensorboard, self.log = self.path / "tensorboard", self.path / "train.log"
        self.environment, self.vocabulary = self.path / "environment.json", self.path / "vocab.json"

    def resume_point(self, resume: bool, overwrite: bool) -> Checkpoint | None:
        """The checkpoint to resume from, or None to start; writes nothing. Raises InputError: the
        folder holds a run and neither flag says what to do with it, or something that is no run;
        the run was trained with other settings, or the folder cannot be written."""
        if resume and overwrite:
            raise InputError("--resume and --overwrite exclude each other")
        check_writable(self.last)
        self._seen = self._state()
        present = self._present()
        if not present:
            return None
        if not self._is_run():
            raise InputError(
                f"{self.path}: holds files and no run of train.py ({few(sorted(present))}); choose "
                "another run.out"
            )
        if overwrite:
            return None
        # A run that was stopped after its first epoch's best model was saved has that one alone.
        source = next((path for path in (self.last, self.best) if path.exists()), None)
        if source is None:
            if resume:
                return None
            raise InputError(
                f"{self.path}: holds a run that was stopped before its first checkpoint. Pass "
                "--resume to start it again, --overwrite to discard it, or another run.out"
            )
        checkpoint = load_checkpoint(source)
        if checkpoint.training is None:
            raise InputError(f"{source}: holds weights alone, a run cannot be resumed from it")
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
                f"{source}: was trained with other settings: {', '.join(differing)}. "
                "Resume with the same, or start elsewhere with another run.out"
            )
        return checkpoint

    def _present(self) -> set[str]:
        """Names of what is there, but for files that nobody has asked for."""
        try:
            return {path.name for path in self.path.iterdir() if not path.name.startswith(".")}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be listed ({first_line(error)})") from error

    def _is_run(self) -> bool:
        """Whether a run of ours has been here, which left a checkpoint or a record of its
        sessions."""
        found = any(holds_checkpoint(path) for path in (self.last, self.best))
        return found or bool(_sessions(self.environment))

    def _state(self) -> list[tuple[str, int, int]]:
        """What changes when another process trains here."""
        paths = [path for path in (self.last, self.best, self.environment) if path.is_file()]
        return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in paths]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder while the run writes to it; rank 0 does. Raises InputError: another
        process holds it, or has written to it since :meth:`resume_point` looked."""
        if rank() > 0:
            yield
            return
        with exclusive(self.path):
            if self._state() != self._seen:
                raise InputError(f"{self.path}: another training has written to it just now")
            yield

    def _discard(self) -> None:
        """Remove what a run of ours wrote, and nothing else."""
        for path in (self.last, self.best, self.log):
            path.unlink(missing_ok=True)
        if not self.tensorboard.is_symlink():
            for path in self.tensorboard.glob(EVENTS):
                path.unlink()
        # Results are of the discarded weights; a table would take them for the new run's.
        several = self.path.glob("embeddings/*.safetensors")  # a file per split
        for path in (*(self.path / name for name in RESULTS), *several):
            if self._is_of_this_run(path):
                path.unlink()

    def _is_of_this_run(self, path: Path) -> bool:
        """Whether a file of results is of this run's weights, by the checkpoint that it names."""
        with suppress(InputError, KeyError, TypeError):
            if not path.is_file():
                return False
            if path.suffix == ".json":
                record = read_record(path)
                named = [origin.checkpoint for origin in record.origins] if record else []
            else:
                named = [read_metadata(path)["origin"]["checkpoint"]]
            mine = {(self.path.name, own.name) for own in (self.last, self.best)}
            return bool(named) and {tuple(Path(n).absolute().parts[-2:]) for n in named} <= mine
        return False

    def start(self, command: list[str], fresh: bool, vocabulary: str | None) -> logging.Logger:
        """Open the held folder for a run, whose own ``vocabulary`` it keeps; ``fresh`` discards an
        overwritten run. Rank 0 alone writes."""
        logger = logging.getLogger(f"run.{self.path}")
        logger.setLevel(logging.INFO if rank() == 0 else logging.CRITICAL)
        logger.propagate = False
        if rank() > 0:
            return logger
        session, earlier = environment(command), _sessions(self.environment)
        own = {s.get("vocabulary") for s in earlier}
        found = file_sha256(self.vocabulary) if self.vocabulary.is_file() else None
        if vocabulary is not None:
            session["vocabulary"] = text_sha256([vocabulary])
            if found not in (None, session["vocabulary"], *own):
                raise InputError(
                    f"{self.vocabulary}: is not of this run, which writes its own there; move it "
                    "away, or choose another run.out"
                )
        remove_stale(self.path)
        if fresh:
            self._discard()
            if found is not None and found in own:
                self.vocabulary.unlink()
            earlier = []
        # First: it tells a run's folder from others, however early the run ends.
        with atomic_write(self.environment) as temporary:
            temporary.write_text(json.dumps([*earlier, session], indent=1) + "\n")
        with atomic_write(self.path / "config.yaml") as temporary:
            temporary.write_text(self.config.to_yaml(), encoding="utf-8")
        if vocabulary is not None:
            with atomic_write(self.vocabulary) as temporary:
                temporary.write_text(vocabulary, encoding="utf-8")
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


def _sessions(path: Path) -> list[dict]:
    """Earlier sessions of a run, as ``environment.json`` keeps them; none where it is damaged."""
    with suppress(InputError):
        found = read_json(path, "record of a run")
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return [one for one in found if "command" in one and "torch" in one]
    return []


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
