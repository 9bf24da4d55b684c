"""3SHNet computed literally, as its description reads: the yardstick of speed, and an oracle.

Each picture is encoded for each of its five captions; the convolution of VSpM takes all nine
channels; attention weights are a matrix of their own; every set is gathered in a loop over the
batch; GPO sends the position code through its GRU once per picture; scores are ranked by sorting
every row and column whole; the two protocols of COCO are encoded separately. Weights are those of
the model that it is compared with, whose parts it calls by name.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from lib.batch import ImageBatch, TextBatch
from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.models.common.gpo import POSITION_CHANNELS, TEMPERATURE, GeneralizedPooling
from lib.models.common.layers import sinusoid, unit
from lib.models.threeshnet.model import ImageEncoder, ThreeSHNet
from lib.models.threeshnet.vsem import VSeM
from lib.models.threeshnet.vspm import KEY_CHANNELS, SHARPNESS, VSpM


def pool(pooling: GeneralizedPooling, rows: Tensor, lengths: Tensor) -> Tensor:
    """(B, N, D) padded rows and (B,) lengths -> (B, D)."""
    size, width, _ = rows.shape
    codes = sinusoid(width, POSITION_CHANNELS, rows.device).repeat(size, 1, 1)
    packed = pack_padded_sequence(codes, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(pooling.gru(packed)[0], batch_first=True)
    forward, backward = states.chunk(2, dim=-1)
    scores = pooling.linear((forward + backward) / 2)  # (B, N, 1)
    mask = (torch.arange(width, device=rows.device) < lengths[:, None])[..., None]
    weights = (scores / TEMPERATURE).masked_fill(~mask, -torch.inf).softmax(dim=1)
    ranked = rows.masked_fill(~mask, -torch.inf).sort(dim=1, descending=True).values
    return (ranked.masked_fill(~mask, 0) * weights).sum(dim=1)


def vsem(part: VSeM, projected: Tensor, mask: Tensor, semantic: Tensor) -> Tensor:
    """As :class:`VSeM`; it has little to save."""
    regions = projected + part.region_residual(projected)
    query = part.query_embedding(semantic.mean(dim=(2, 3)))
    query = (query + part.query_residual(query))[:, None]  # (B, 1, D)
    highlight = ((regions * query).sum(dim=-1) / regions.shape[-1] ** 0.5).sigmoid()
    highlighted = (highlight * mask)[..., None] * regions
    gated = highlighted * torch.tanh(part.gate(highlighted))
    return part.output(gated + query * mask[..., None]).relu()


def vspm(part: VSpM, projected: Tensor, mask: Tensor, seg_map: Tensor) -> Tensor:
    """As :class:`VSpM`, with nine channels per picture and the attention spelt out."""
    size = len(seg_map)
    inputs = torch.cat([seg_map[:, None], part.position_code.repeat(size, 1, 1, 1)], dim=1)
    convolved = conv2d(inputs, part.key_conv.weight, part.key_conv.bias, padding=1)
    norm = part.key_norm
    normal = batch_norm(
        convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training
    )
    keys = normal.relu().flatten(2).transpose(1, 2)  # (B, map_size^2, 128)
    query = part.query(projected)
    logits = SHARPNESS * (query @ keys.transpose(1, 2)) / KEY_CHANNELS**0.5
    context = logits.softmax(dim=-1) @ keys
    return part.output(query + context * mask[..., None])


def encode_images(encoder: ImageEncoder, batch: ImageBatch) -> Tensor:
    """As :meth:`ImageEncoder.forward` of the whole 3SHNet, (B, D) float32."""
    mask, lengths = batch.mask, batch.lengths.tolist()
    projected = encoder.projection(batch.features)
    semantic = vsem(encoder.semantic, projected, mask, batch.arrays["semantic"])
    spatial = vspm(encoder.spatial, projected, mask, batch.arrays["seg_map"])
    regions = projected + encoder.residual(batch.features)
    fused = encoder.fusion(semantic + spatial + regions)
    category = encoder.category_embedding(batch.arrays["categories"])
    cells = encoder.cell_embedding(batch.arrays["semantic"].flatten(2).transpose(1, 2))
    cells = cells + encoder.cell_residual(cells)
    sets = [
        torch.cat([category[i, None], regions[i, :k], fused[i, :k], cells[i]])
        for i, k in enumerate(lengths)
    ]
    sizes = torch.tensor([len(rows) for rows in sets], device=projected.device)
    return unit(pool(encoder.pooling, pad_sequence(sets, batch_first=True), sizes))


def encode_texts(encoder: nn.Module, batch: TextBatch) -> Tensor:
    """As :meth:`TextEncoder.forward`, (B, D) float32."""
    states = encoder.bert(batch.ids, attention_mask=batch.mask.long()).last_hidden_state
    return unit(pool(encoder.pooling, encoder.projection(states), batch.lengths))


def embed_pairs(
    model: ThreeSHNet, images: list[ImageBatch], texts: list[TextBatch]
) -> tuple[Tensor, Tensor]:
    """Embeddings of pairs, picture i // 5 with caption i: (5n, D) twice."""
    with torch.inference_mode():
        one = [encode_images(model.image_encoder, batch) for batch in images]
        other = [encode_texts(model.text_encoder, batch) for batch in texts]
    return torch.cat(one), torch.cat(other)


def recalls(scores: np.ndarray) -> list[float]:
    """R@1, 5, 10 image to text, then text to image, of (n, 5n) scores by full sorts, percent."""
    images, captions = scores.shape
    i2t, t2i = np.empty(images), np.empty(captions)
    for image in range(images):
        order = np.argsort(scores[image])[::-1]
        i2t[image] = np.flatnonzero(order // CAPTIONS_PER_IMAGE == image)[0]
    for caption in range(captions):
        order = np.argsort(scores[:, caption])[::-1]
        t2i[caption] = np.flatnonzero(order == caption // CAPTIONS_PER_IMAGE)[0]
    return [100 * float(np.mean(ranks < k)) for ranks in (i2t, t2i) for k in (1, 5, 10)]
