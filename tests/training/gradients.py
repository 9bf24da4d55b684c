"""One step's loss and gradients, written by the first of the processes that torchrun starts:
python tests/training/gradients.py OUT section.key=value ...   (configs/scenes_region.yaml)"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from lib.config import Config, load_config
from lib.data.dataset import TrainingPairs, training_loader
from lib.distributed import process_group, rank
from lib.training.loop import Run


def main(out: str, config: str, *overrides: str) -> None:
    # A thread gets the interpreter's lock only where another one lets go of it: an end that needs
    # luck hangs.
    sys.setswitchinterval(1000)
    config = load_config(config, overrides)
    with process_group("cpu"):
        state = first_step(config)
        if rank() == 0:
            torch.save(state, out)


def first_step(config: Config) -> dict[str, torch.Tensor]:
    run = Run(config, False, False)
    for module in run.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name, parameter in run.model.named_parameters():
        if name.endswith("norm.weight") and not parameter.any():  # else nothing learns behind
            torch.nn.init.constant_(parameter, 0.7)
    pairs = TrainingPairs(run.train_split, run.train_captions, config)
    batches = [run._share(run._batches(0)[0])]
    images, texts = next(iter(training_loader(pairs, 0, batches, 0, pin=False)))
    run.model.train()
    # Before AdamW has changed them, and before they are clipped: a limit that none reaches.
    loss, _ = run._step(images, texts)
    state = {"loss": torch.tensor(loss, dtype=torch.float64)}
    state |= {n: p.grad for n, p in run.model.named_parameters() if p.grad is not None}
    state |= {f"loss {n}": p.grad for n, p in run.loss.named_parameters()}
    return state | {f"buffer {n}": b for n, b in run.model.named_buffers()}


if __name__ == "__main__":
    main(*sys.argv[1:])
