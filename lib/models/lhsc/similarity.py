"""LHSC's score of an image and a sentence: words attend to regions, similarity vectors of the
words and of both wholes, a filter that weighs them.

For one image of regions v and one sentence of words t the equations are, which
``tests/models/lhsc/plain.py`` computes in loops and float64::

    c = unit(leaky_relu(v . t), over words);  a = unit(sum over regions of softmax(9 c) v)
    s = [unit(W_g (v_whole - t_whole)^2), unit(W_l (a - t)^2) of each word]
    w = sigmoid(BatchNorm(W_f s)), divided by its sum;  score = sigmoid(W_e unit(sum of w s))"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.utils.checkpoint import checkpoint

from lib.distributed import all_reduce_sum
from lib.models.common.batchnorm import BatchNorm
from lib.models.common.layers import unit
from lib.models.lhsc.config import Config
from lib.models.lhsc.images import Regions
from lib.models.lhsc.pooling import xavier
from lib.models.lhsc.sentences import Words

SMOOTHING, SLOPE, EPSILON = 9.0, 0.1, 1e-8
# Values of D that a word holds at once with an image: without gradients, and with them.
HELD, HELD_IN_TRAINING = 3, 8


@dataclass(frozen=True)
class Moments:
    """Of C captions' values in the filter, (C,) float32 each."""

    mean: Tensor
    variance: Tensor  # biased
    count: Tensor


class FilterNorm(BatchNorm):
    """BatchNorm of one channel that sees a caption at a time: training normalises by the caption's
    own statistics, and updates the running ones once per caption."""

    def __init__(self) -> None:
        super().__init__(1)

    def moments(self, values: Tensor, real: Tensor) -> Moments:
        """(I, C, V) float32 and (C, V) bool -> over images and the real of V values; over all
        ranks' images if ``synchronised``."""
        share = all_reduce_sum if self.synchronised else _unchanged
        count = share(real.sum(dim=1).float() * len(values))
        mean = share((values * real).sum(dim=(0, 2))) / count
        centred = (values - mean[:, None]) * real
        return Moments(mean, share(centred.square().sum(dim=(0, 2))) / count, count)

    def normalised(self, values: Tensor, moments: Moments | None) -> Tensor:
        """(..., C, V) float32 by a batch's moments, or by the running statistics."""
        if moments is None:
            mean, variance = self.running_mean, self.running_var
        else:
            mean, variance = moments.mean[:, None], moments.variance[:, None]
        return (values - mean) / (variance + self.eps).sqrt() * self.weight + self.bias

    @torch.no_grad()
    def update(self, moments: Moments) -> None:
        """Move the running statistics as C updates in the captions' order would."""
        count = len(moments.mean)
        # Of C updates r <- (1 - m) r + m x_c, the last weighs m, the one before m (1 - m), ...
        ages = torch.arange(count - 1, -1, -1, device=moments.mean.device)
        weights = self.momentum * (1 - self.momentum) ** ages
        unbiased = moments.variance * moments.count / (moments.count - 1)
        for running, found in ((self.running_mean, moments.mean), (self.running_var, unbiased)):
            running.mul_((1 - self.momentum) ** count).add_(weights @ found)
        self.num_batches_tracked += count


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


class Similarity(nn.Module):
    """Every image's score with every sentence."""

    def __init__(self, config: Config):
        super().__init__()
        size, vector = config.embed_size, config.sim_dim
        self.local = xavier(size, vector)
        self.whole = xavier(size, vector) if config.use_global else None
        self.filter = xavier(vector, 1) if config.use_filter else None
        self.filter_norm = FilterNorm() if config.use_filter else None
        self.output = xavier(vector, 1)

    def forward(self, images: Regions, words: Words, memory: float) -> Tensor:
        """(I, C) float32 of I images and C sentences, in chunks of ``memory`` bytes. Training takes
        whole columns, whose statistics the filter needs, and computes a chunk again in the backward
        pass where they do not all fit."""
        gradients = torch.is_grad_enabled()
        order = words.mask.sum(dim=1).argsort(descending=True, stable=True)  # the release's order
        words, held = words[order], HELD_IN_TRAINING if gradients else HELD
        lengths, size = words.mask.sum(dim=1).tolist(), images.rows.shape[-1]
        # In a caption's memory with all images: regions by words, and vectors of D by words.
        pair = 4 * (held * size + 3 * images.rows.shape[1])
        rows = len(images)
        if not self.training:
            rows = max(min(rows, int(memory / (pair * lengths[0]))), 1)
        starts = [0]
        while starts[-1] < len(words):
            fits = max(int(memory / (pair * rows * lengths[starts[-1]])), 1)
            starts.append(min(starts[-1] + fits, len(words)))
        again = gradients and len(starts) > 2
        columns, moments = [], []
        for start, end in pairwise(starts):
            chunk = words[start:end].trimmed()
            parts = []
            for first in range(0, len(images), rows):
                pairs = images[first : first + rows], chunk
                found = (
                    checkpoint(self._scores, *pairs, use_reentrant=False)
                    if again
                    else self._scores(*pairs)
                )
                parts.append(found[0])
                moments.append(found[1])
            columns.append(torch.cat(parts))
        if self.training and self.filter_norm is not None:
            self.filter_norm.update(
                Moments(
                    *(torch.cat([getattr(m, n) for m in moments]) for n in Moments.__annotations__)
                )
            )
        return torch.cat(columns, dim=1)[:, order.argsort()]

    def _scores(self, images: Regions, words: Words) -> tuple[Tensor, Moments | None]:
        """(I, C) float32, and in training the filter's moments."""
        (count, regions, _), (captions, width) = images.rows.shape, words.mask.shape
        rows = words.rows.flatten(0, 1)  # (C N, D)
        # Rows of padding are zero, and so are their products: norms over words do not see them.
        products = leaky_relu((rows @ images.rows.flatten(0, 1).T).float(), SLOPE)
        products = products.view(captions, width, count, regions)
        weights = (SMOOTHING * products / (products.norm(dim=1, keepdim=True) + EPSILON)).softmax(
            -1
        )
        weights = weights.flatten(0, 1).transpose(0, 1)  # (I, C N, K)
        attended = (weights.to(images.rows.dtype) @ images.rows).float()  # (I, C N, D)
        attended = attended / (attended.norm(dim=-1, keepdim=True) + EPSILON)
        local = self.local((attended - rows).square()).float()
        vectors = unit(local).unflatten(1, (captions, width))  # (I, C, N, S)
        real = words.mask
        if self.whole is not None:
            difference = (images.whole[:, None] - words.whole).square()
            whole = unit(self.whole(difference))[:, :, None]  # (I, C, 1, S)
            vectors = torch.cat((whole, vectors), dim=2)
            real = torch.cat((real[:, :1], real), dim=1)  # <start> is real
        with torch.autocast(rows.device.type, enabled=False):
            moments, shares = None, real.float().expand(count, -1, -1)
            if self.filter is not None and self.filter_norm is not None:
                values = self.filter(vectors).squeeze(-1)  # (I, C, V)
                if self.training:
                    moments = self.filter_norm.moments(values, real)
                shares = self.filter_norm.normalised(values, moments).sigmoid() * real
            shares = shares / (shares.sum(dim=-1, keepdim=True) + EPSILON)
            joint = unit((shares[:, :, None] @ vectors).squeeze(2))
            return self.output(joint).squeeze(-1).sigmoid(), moments
