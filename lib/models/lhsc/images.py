"""LHSC's image side: regions through four stacked graph layers. The first sees objects, the next
their relations, the last two higher-level semantics."""

from dataclasses import dataclass

from torch import Tensor, nn

from lib.batch import ImageBatch, Tensors
from lib.models.common.batchnorm import BatchNorm
from lib.models.common.layers import unit
from lib.models.lhsc.config import Config
from lib.models.lhsc.pooling import GlobalPooling, xavier


@dataclass(frozen=True)
class Regions(Tensors):
    """B images."""

    rows: Tensor  # (B, K, D) float32 of unit length
    whole: Tensor  # (B, D) float32 of unit length; (B, 0) without the global part


class GraphLayer(nn.Module):
    """x + BatchNorm(W(R g(x))), R = a b^T / K; it starts as the identity. PyTorch's own
    initialisation, as the release's."""

    def __init__(self, size: int):
        super().__init__()
        # The release splits each into four layers of a quarter, and joins what they give.
        self.theta, self.phi = nn.Linear(size, size), nn.Linear(size, size)
        self.subject, self.object = nn.Linear(size, size), nn.Linear(size, size)
        self.message, self.output = nn.Linear(size, size), nn.Linear(size, size)
        self.norm = BatchNorm(size)
        nn.init.zeros_(self.norm.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, K, D) float -> the same shape."""
        a, b = self.subject(self.theta(rows)), self.object(self.phi(rows))
        relations = a @ b.transpose(1, 2) / rows.shape[1]  # (B, K, K), no softmax
        passed = self.output(relations @ self.message(rows))
        return rows + self.norm(passed.flatten(0, 1)).view_as(rows)


class ImageEncoder(nn.Module):
    """A projection, the graph, and the global vector."""

    def __init__(self, config: Config):
        super().__init__()
        size = config.embed_size
        self.projection = xavier(config.img_dim, size)
        self.graph = nn.Sequential(*(GraphLayer(size) for _ in range(config.graph_layers)))
        self.pooling = None
        if config.use_global:
            self.pooling = GlobalPooling(size, config.dropout, config.regions)

    def forward(self, batch: ImageBatch) -> Regions:
        """B images, each with all of its regions."""
        rows = unit(self.graph(self.projection(batch.features)))
        whole = rows[:, 0, :0] if self.pooling is None else self.pooling(rows)
        return Regions(rows, whole)
