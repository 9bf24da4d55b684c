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

from lib.batch import Tensors, concatenate
from lib.distributed import all_reduce_sum
from lib.models.common.batchnorm import BatchNorm
from lib.models.common.layers import unit
from lib.models.lhsc.config import Config
from lib.models.lhsc.images import Regions
from lib.models.lhsc.pooling import xavier
from lib.models.lhsc.sentences import Words

SMOOTHING, SLOPE, EPSILON = 9.0, 0.1, 1e-8
LEAST = 1e-24  # of a squared norm: the root of zero has no gradient
# Values of D that a word holds at once with an image: without gradients, and with them.
HELD, HELD_IN_TRAINING = 3, 8


@dataclass(frozen=True)
class Moments(Tensors):
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
        """(I, C) float32 of I images and C sentences, in chunks of ``memory`` bytes. In training a
        chunk has all images, whose statistics the filter takes, and at least one sentence; chunks
        are computed again in the backward pass where they do not all fit."""
        gradients = torch.is_grad_enabled()
        # The release's order, and chunks of one length, or a long one would widen every chunk.
        order = words.mask.sum(dim=1).argsort(descending=True, stable=True)
        words = words[order]
        lengths = words.mask.sum(dim=1).tolist()
        (count, regions, size), held = images.rows.shape, HELD_IN_TRAINING if gradients else HELD
        cell = 4 * (held * size + 3 * regions)  # bytes of a word with an image
        wide = count if self.training else min(count, max(int(memory / cell / lengths[0]) // 8, 1))
        starts = [0]
        while starts[-1] < len(words):
            fit = max(int(memory / cell / lengths[starts[-1]]) // wide, 1)
            starts.append(min(starts[-1] + fit, len(words)))
        among = images.rows @ images.rows.transpose(1, 2)  # (I, K, K)
        blocks = [slice(start, start + wide) for start in range(0, count, wide)]
        columns, moments = [], []
        for start, end in pairwise(starts):
            chunk = words[start:end].trimmed()
            pairs = [(images[block], among[block], chunk) for block in blocks]
            if gradients and (len(starts) > 2 or len(blocks) > 1):
                found = [checkpoint(self._scores, *pair, use_reentrant=False) for pair in pairs]
            else:
                found = [self._scores(*pair) for pair in pairs]
            columns.append(torch.cat([scores for scores, _ in found]))
            moments += [seen for _, seen in found if seen is not None]
        if moments and self.filter_norm is not None:
            self.filter_norm.update(concatenate(moments))
        return torch.cat(columns, dim=1)[:, order.argsort()]

    def _scores(
        self, images: Regions, among: Tensor, words: Words
    ) -> tuple[Tensor, Moments | None]:
        """(I, C) float32, and in training the filter's moments; ``among``, (I, K, K), are the
        products of an image's regions."""
        count, (captions, width) = len(images), words.mask.shape
        rows, real = words.rows.flatten(0, 1), words.mask
        weights = self._attention(images, words)
        # The norm of what is attended, sum_k w_k v_k, by the products of the regions: the weights
        # are divided by it, instead of the D values of each word.
        squared = ((weights @ among.float()) * weights).sum(dim=-1, keepdim=True)
        norm = squared.clamp_min(LEAST).sqrt()
        weights = (weights / (norm + EPSILON)).to(images.rows.dtype)
        difference = _square(torch.baddbmm(-rows[None], weights, images.rows))  # (I, C N, D)
        vectors = self.local(difference).float()
        # Vectors of unit length are never made: what is made of them is divided by their norms.
        norms = _norm(vectors, -1) + EPSILON
        whole = None
        if self.whole is not None:
            whole = unit(self.whole(_square(images.whole[:, None] - words.whole)))  # (I, C, S)
            real = torch.cat((real[:, :1], real), dim=1)  # <start> is real
        with torch.autocast(rows.device.type, enabled=False):
            moments, shares = None, real.float().expand(count, -1, -1)
            if self.filter is not None and self.filter_norm is not None:
                weight, bias = self.filter.weight[0], self.filter.bias
                values = ((vectors @ weight)[..., None] / norms).view(count, captions, width) + bias
                if whole is not None:
                    values = torch.cat(((whole @ weight + bias)[..., None], values), dim=-1)
                if self.training:
                    moments = self.filter_norm.moments(values, real)
                shares = self.filter_norm.normalised(values, moments).sigmoid() * real
            shares = shares / (shares.sum(dim=-1, keepdim=True) + EPSILON)  # (I, C, V)
            local = shares[..., -width:] / norms.view(count, captions, width)
            joint = local[:, :, None] @ vectors.unflatten(1, (captions, width))
            joint = joint.squeeze(2)
            if whole is not None:
                joint = joint + shares[..., :1] * whole
            return self.output(unit(joint)).squeeze(-1).sigmoid(), moments

    @staticmethod
    def _attention(images: Regions, words: Words) -> Tensor:
        """How the words of C sentences attend to the regions of I images: (I, C N, K) float32."""
        (count, regions, _), (captions, width) = images.rows.shape, words.mask.shape
        rows = words.rows.flatten(0, 1)
        # Rows of padding are zero, and so are their products: norms over words do not see them.
        products = leaky_relu((rows @ images.rows.flatten(0, 1).T).float(), SLOPE)
        products = products.view(captions, width, count, regions)
        products = SMOOTHING * products / (_norm(products, 1) + EPSILON)
        return products.softmax(dim=-1).flatten(0, 1).transpose(0, 1)

    def attention(self, images: Regions, words: Words) -> Tensor:
        """How the words of B sentences attend to the regions of their B images: (B, N, K) float32,
        zero on padding."""
        pairs = [self._attention(images[i : i + 1], words[i : i + 1]) for i in range(len(images))]
        return torch.cat(pairs) * words.mask[..., None]


def _norm(values: Tensor, dim: int) -> Tensor:
    """The norm over one dimension, kept."""
    return values.square().sum(dim=dim, keepdim=True).clamp_min(LEAST).sqrt()


def _square(values: Tensor) -> Tensor:
    """In place where no gradient needs it."""
    return values.square() if torch.is_grad_enabled() else values.square_()
