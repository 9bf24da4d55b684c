"""One training run: epochs, validation, checkpoints, stopping and resuming.

A run is a function of its config alone: batches and augmentation come from (seed, epoch, caption),
dropout from torch's random state, which checkpoints keep. Killed and resumed is uninterrupted."""

import logging
import math
import sys
import time
from collections import deque
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from lib.batch import TextBatch
from lib.checkpoint import Checkpoint, load_weights
from lib.config import Config
from lib.data.captions import CAPTIONS_PER_IMAGE, tokenise
from lib.data.dataset import Images, TrainingPairs, epoch_batches, training_loader
from lib.data.split import open_split
from lib.device import default_workers, encoding_batch, precision_context, resolve_device
from lib.distributed import (
    all_gather,
    all_gather_object,
    all_reduce_max,
    broadcast,
    local_world_size,
    rank,
    world_size,
)
from lib.errors import InputError
from lib.evaluation.encode import encode_split
from lib.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from lib.models import build_model, family_of
from lib.models.common.batchnorm import synchronise
from lib.models.common.end_to_end import EndToEnd
from lib.models.common.micro_batch import set_limits
from lib.training.collapse import CollapseWatch
from lib.training.ddp import average_gradients, scores_of_all, wrap_encoders
from lib.training.frozen_words import keep_frozen_words
from lib.training.heartbeat import Heartbeat
from lib.training.losses import InfoNCE, build_loss, score_statistics
from lib.training.optim import (
    build_optimizer,
    loss_factor,
    rate_factor,
    restore_loss,
    restore_optimizer,
    set_rates,
    set_trainable,
)
from lib.training.resume import require_same_data
from lib.training.rng import random_state, seed_dropout, set_random_state
from lib.training.run_dir import RunDir
from lib.training.signals import Stopped, StopSignal
from lib.training.tensorboard import Curves
from lib.training.warm_start import read_init, warm_start

DEV_IMAGES = 1000  # dev is scored on its first 5,000 captions, on every dataset, as released
SCALARS_EVERY = 10  # updates between TensorBoard points
GAP_POINTS = 10  # points whose mean gap the log tells


class Run:
    """Everything a run needs, opened and checked before anything is written."""

    def __init__(self, config: Config, resume: bool, overwrite: bool):
        """Open data and model, or the checkpoint to resume from. Raises InputError: anything wrong
        with settings, files or the run directory."""
        self.config = config
        family = family_of(config.model)
        if not family.trains:
            raise InputError(
                f"model.family is {family.name}, whose models are published as they are; eval.py "
                "--hub scores them, and train.py does not train them"
            )
        self.run_dir = RunDir(config)
        checkpoint = self.run_dir.resume_point(resume, overwrite)
        self.device = resolve_device(config.run.device)
        self.workers = default_workers(config.data.workers, local_world_size())
        self._require_equal_shares()
        self.train_split, self.dev_split = (open_split(config, name) for name in ("train", "dev"))
        extractors = self.train_split.extractors
        init = None
        if checkpoint is None and config.train.init is not None:
            init = read_init(config)
        source = checkpoint or init
        state = None if source is None else source.tokenizer
        self.tokenizer = family.tokenizer(config.model, self.train_split.captions, state)
        torch.manual_seed(config.run.seed)
        self.notes: list[str] = []
        if init is None:
            self.model = build_model(config.model, self.tokenizer, pretrained=checkpoint is None)
        else:
            self.model, self.notes = warm_start(config, self.tokenizer, init, extractors)
        if isinstance(self.model, EndToEnd):
            self.model.eval().require_cells(config.features.image_size, config.features.grid_size)
        self.model.to(self.device)
        self.train_captions = tokenise(self.train_split.captions, self.tokenizer)
        self.dev_captions = tokenise(self.dev_split.captions, self.tokenizer)
        set_limits(self.model, config.train.micro_batch, config.eval.pair_memory_gb)
        if config.train.sync_batchnorm:
            synchronise(self.model)
        self.loss = build_loss(config.train).to(self.device)
        self.optimizer = build_optimizer(self.model, config.train, self.loss)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        splits = {split.name: split.fingerprint() for split in (self.train_split, self.dev_split)}
        self.progress: dict[str, Any] = {"epoch": 0, "step": 0, "updates": 0, "rsum": None}
        self.progress |= {"best_rsum": -1.0, "best_epoch": None}
        self.progress |= {"extractors": extractors, "splits": splits}
        if world_size() > 1:  # the same weights on every rank, but other draws of dropout
            seed_dropout(config.run.seed, 0)
        self.loss_factor = 1.0
        self.watch = CollapseWatch(config.train.margin)
        self.gaps: deque[float] = deque(maxlen=GAP_POINTS)  # of the epoch's last points
        self.resumed = checkpoint is not None
        if checkpoint is not None:
            assert checkpoint.training is not None
            last, training = self.run_dir.last, checkpoint.training
            load_weights(self.model, checkpoint, last)
            restore_optimizer(self.optimizer, training.get("optimizer"), str(last))
            restore_loss(self.loss, training.get("loss"), str(last))
            folder, found = self.train_split.folder, checkpoint.progress
            require_same_data(last, folder, found, self.progress)
            self.progress = dict(checkpoint.progress)
            if self.progress["step"] > len(self._batches(0)):
                raise InputError(
                    f"{last}: is damaged: an epoch has no step {self.progress['step']}"
                )
            updates = self.progress["updates"]
            set_random_state(training.get("random"), config.run.seed, updates, str(last))
        self._batches(0)  # refuses a batch larger than the data now
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        set_trainable(self.model, self.progress["epoch"], self.config.train)
        self.encoders = wrap_encoders(self.model)

    def _require_equal_shares(self) -> None:
        size, ranks = self.config.train.batch_size, world_size()
        if size % ranks:
            raise InputError(
                f"train.batch_size is {size}, over all processes together, which {ranks} processes "
                f"cannot share equally; choose a multiple of {ranks}"
            )

    def fit(self, command: list[str]) -> None:
        """Train to the last epoch. Raises Stopped: on SIGINT or SIGTERM, after saving. Raises
        InputError: the loss is not finite, features are broken, or nothing can be written."""
        config, progress = self.config, self.progress
        if progress["epoch"] >= config.train.epochs:
            if rank() == 0:
                print(f"{self.run_dir.path}: all {config.train.epochs} epochs are done")
            return
        with self.run_dir.held():
            vocabulary = self.tokenizer.vocabulary_file()
            self.log = self.run_dir.start(command, not self.resumed, vocabulary)
            self._introduce(self.log)
            self._fit()

    def _fit(self) -> None:
        config, progress, log = self.config, self.progress, self.log
        # Points that a killed run wrote after its last checkpoint are written again.
        kept = progress["updates"] if self.resumed else None
        curves = Curves(self.run_dir.tensorboard, kept, log)
        pairs = TrainingPairs(self.train_split, self.train_captions, config)
        if config.data.noise_ratio > 0:
            log.warning(pairs.noise)
        with StopSignal() as stop:
            self._between = stop.between
            try:
                if kept := keep_frozen_words(self.model, self.train_captions, config, stop.between):
                    log.info(kept)
                while progress["epoch"] < config.train.epochs:
                    self._begin_epoch()
                    started = time.perf_counter()
                    told = self._train_epoch(pairs, curves, stop)
                    if world_size() > 1:  # a launcher that stops them does not wait for validation
                        self._save(best=False)
                    stop.stop_if_requested()
                    metrics = self._validate()
                    self._finish_epoch(metrics, told, time.perf_counter() - started, curves)
            except Stopped as stopped:
                self._save(best=False)
                message = (
                    f"stopped by signal {stopped.signum} in epoch {progress['epoch']} after step "
                    f"{progress['step']}; saved {self.run_dir.last}; --resume resumes the run"
                )
                log.info(message)
                raise Stopped(stopped.signum, message) from None
            finally:
                curves.close()
        log.info(
            f"done: best dev rSum {progress['best_rsum']:.1f} in epoch {progress['best_epoch']}, "
            f"{self.run_dir.best}"
        )

    def _introduce(self, log: logging.Logger) -> None:
        parameters = sum(p.numel() for p in self.model.parameters())
        log.info(
            f"{'resumed' if self.resumed else 'started'} {self.run_dir.path} on {self.device}: "
            f"{parameters / 1e6:.1f} M parameters, {len(self.train_split.image_ids):,} training "
            f"and {len(self.dev_split.image_ids):,} dev images"
        )
        train, dev = (self.train_split, self.train_captions), (self.dev_split, self.dev_captions)
        for split, captions in (train, dev):
            log.info(f"{split.name} features: {split.features.describe()}")
            for warning in captions.warnings(split.name):
                log.warning(warning)
        for note in (*self.notes, *self.tokenizer.notes):
            log.warning(note)

    def _batches(self, epoch: int) -> list[np.ndarray]:
        train, captions = self.config.train, len(self.train_captions)
        about = (train.batch_size, self.config.run.seed, epoch, train.drop_last, world_size())
        return epoch_batches(captions, *about)

    @staticmethod
    def _share(batch: np.ndarray) -> np.ndarray:
        """This rank's pairs of a batch."""
        return np.split(batch, world_size())[rank()]

    def _train_epoch(self, pairs: TrainingPairs, curves: Curves, stop: StopSignal) -> str:
        """The rest of the current epoch; tells its mean loss per pair over the steps taken, and
        which these are, where a resumed run has not taken all."""
        config, progress = self.config, self.progress
        epoch, first = progress["epoch"], progress["step"]
        batches = self._batches(epoch)
        own = [self._share(batch) for batch in batches[first:]]
        pin = self.device.type == "cuda"
        loader = training_loader(pairs, epoch, own, self.workers, pin)
        self.model.train()
        total, ready = 0.0, time.perf_counter()
        self.gaps.clear()
        hidden = True if rank() else None  # None hides the bar where there is no terminal
        shown: dict[str, Any] = {"initial": first, "leave": False, "disable": hidden}
        silent = rank() == 0 and not sys.stderr.isatty()  # tqdm's own rule
        heartbeat = Heartbeat(self.log, epoch, first, len(batches)) if silent else None
        with tqdm(loader, f"epoch {epoch}", len(batches), **shown) as bar:
            for images, texts in stop.guard(bar):
                arrived = time.perf_counter()
                set_rates(self.optimizer, self.base_rates, rate_factor(epoch, config.train))
                share = progress["step"] / len(batches)
                pixels = config.model.backbone is not None
                self.loss_factor = loss_factor(epoch, share, config.train, pixels)
                loss, scalars = self._step(images.to(self.device), texts.to(self.device))
                total += loss
                size = len(batches[progress["step"]])  # of all ranks, as the loss is
                progress["step"] += 1
                progress["updates"] += 1
                now = time.perf_counter()
                if progress["updates"] % SCALARS_EVERY == 0:
                    scalars |= {"time/data": arrived - ready, "time/step": now - arrived}
                    for group in self.optimizer.param_groups:
                        scalars[f"rate/{group['name']}"] = group["lr"]
                    curves.add(scalars, progress["updates"])
                    self.gaps.append(scalars["score/gap"])
                    bar.set_postfix(loss=f"{loss / size:.3f}")
                if heartbeat is not None:
                    heartbeat.beat(progress["step"], loss / size, size)
                ready = now
        part = f" in its last {len(own)} of {len(batches)} steps" if first else ""
        if not own:
            return "not known, all steps were taken before the stop"
        return f"{total / sum(map(len, batches[first:])):.4f} per pair{part}"

    def _step(self, images: Images, texts: TextBatch) -> tuple[float, dict[str, float]]:
        """One update by ``loss_factor`` times the loss; returns the loss (a sum over the batch) and
        what TensorBoard gets."""
        config = self.config.train
        with precision_context(self.device, config.precision):
            encoded = self.encoders(images, texts)
        # Negatives come from the batch of all ranks, each of which computes the whole loss.
        with precision_context(self.device, config.precision if self.model.pairwise else "fp32"):
            scores = scores_of_all(self.model, *encoded)
        hardest = self.progress["epoch"] >= config.sum_epochs
        same = all_gather(images.indices) if config.mask_same_image else None
        loss = self.loss(scores, hardest, same)
        value = loss.item()
        self._require_finite("loss", value, images)
        self.optimizer.zero_grad(set_to_none=True)
        # Autocast is for the forward pass alone; its backward follows it.
        with precision_context(self.device, "tf32" if config.precision == "tf32" else "fp32"):
            (loss * self.loss_factor).backward()
            average_gradients(self.model, self.loss)
        learned = [*self.model.parameters(), *self.loss.parameters()]
        norm = clip_grad_norm_(learned, config.clip).item()
        self._require_finite("gradient norm", norm, images)
        self.optimizer.step()
        self.loss.limit()
        scalars = {"loss": value / len(scores), "gradient_norm": norm}
        if (self.progress["updates"] + 1) % SCALARS_EVERY == 0:
            scalars |= score_statistics(scores.detach())
            if isinstance(self.loss, InfoNCE):
                scalars["temperature"] = self.loss.temperature
            elif hardest and (told := self.watch.add(scalars["loss"], scalars["score/gap"])):
                self.log.warning(told)
        return value, scalars

    def _require_finite(self, what: str, value: float, images: Images) -> None:
        if math.isfinite(value):
            return
        ids = ", ".join(self.train_split.image_ids[i] for i in images.indices.tolist())
        last, progress = f"the last good checkpoint is {self.run_dir.last}", self.progress
        saved = last if self.run_dir.last.exists() else "no checkpoint had been saved yet"
        raise InputError(
            f"the {what} is {value} in epoch {progress['epoch']}, step {progress['step']}; nothing "
            f"was updated or saved, {saved}. A smaller train.lr or train.clip may help. Images of "
            f"the batch: {ids}"
        )

    def _validate(self) -> RetrievalMetrics:
        # Running statistics differ between ranks, and nothing else may.
        broadcast([*self.model.parameters(), *self.model.buffers(), *self.loss.parameters()])
        size, precision = encoding_batch(self.device), self.config.train.precision
        about = (self.dev_split, self.dev_captions, size, self.workers)
        embeddings = encode_split(
            self.model, *about, images=DEV_IMAGES, precision=precision, guard=self._between
        )
        scores = embeddings.blocks(self.model, precision, self._between)
        return retrieval_metrics(scores, np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE)

    def _finish_epoch(
        self, metrics: RetrievalMetrics, loss: str, seconds: float, curves: Curves
    ) -> None:
        progress = self.progress
        epoch = progress["epoch"]
        points = {"dev/rSum": metrics.rsum}
        for name, side in (("i2t", metrics.i2t), ("t2i", metrics.t2i)):
            for k, recall in ((1, side.r1), (5, side.r5), (10, side.r10)):
                points[f"dev/{name}_R@{k}"] = recall
        best = metrics.rsum > progress["best_rsum"]
        if best:
            progress |= {"best_rsum": metrics.rsum, "best_epoch": epoch}
        progress |= {"epoch": epoch + 1, "step": 0, "rsum": metrics.rsum}
        self._save(best)
        curves.add(points, progress["updates"])
        gap = f", gap {sum(self.gaps) / len(self.gaps):.3f}" if self.gaps else ""
        form = "hardest" if epoch >= self.config.train.sum_epochs else "sum"
        if isinstance(self.loss, InfoNCE):
            form = f"InfoNCE, temperature {self.loss.temperature:.3g}"
        self.log.info(
            f"epoch {epoch} ({form}): loss {loss}, dev i2t R@1 {metrics.i2t.r1:.1f}, "
            f"t2i R@1 {metrics.t2i.r1:.1f}, rSum {metrics.rsum:.1f}"
            f"{' (best)' if best else ''}{gap}, {seconds:.1f} s"
        )

    def _save(self, best: bool) -> None:
        random = all_gather_object(random_state())
        if rank() == 0:
            training = {"optimizer": self.optimizer.state_dict(), "random": random}
            if state := self.loss.state_dict():
                training["loss"] = state
            about = (self.config, self.model.state_dict(), self.tokenizer.state())
            self.run_dir.save(Checkpoint(*about, dict(self.progress), training), best)
        all_reduce_max(0)  # a rank that left before it is saved would end the others
