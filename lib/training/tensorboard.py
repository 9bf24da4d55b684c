"""A run's curves in TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from lib.distributed import rank


class Curves:
    """Scalars by update; rank 0 writes them."""

    def __init__(self, folder: Path, updates: int | None):
        """Write to ``folder``; what a killed run wrote there after ``updates`` is dropped."""
        purge = None if updates is None else updates + 1
        self._writers = [SummaryWriter(folder, purge_step=purge)] if rank() == 0 else []

    def add(self, values: dict[str, float], update: int) -> None:
        """One point of each named curve."""
        for writer in self._writers:
            for name, value in values.items():
                writer.add_scalar(name, value, update)
            writer.flush()  # lets readers see them

    def close(self) -> None:
        """Write the rest."""
        for writer in self._writers:
            writer.close()
