"""LHSC written straight from its description, over regions i, words j and captions c, in float64.

``training`` normalises by the batch's statistics, and ``running`` gets what these become."""

import torch

from lib.models.lhsc.vocabulary import Vocabulary

LEAKY, SMOOTHING, TINY = 0.1, 9.0, 1e-8


def apply(p, name, x):
    return p[f"{name}.weight"] @ x + p[f"{name}.bias"]


def unit(x):
    return x / (x.norm() + TINY)


def statistics(p, running, name, values, training):
    """Mean and biased variance of each channel of (rows, channels)."""
    mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    if not training:
        return mean, var
    seen, spread = values.mean(dim=0), ((values - values.mean(dim=0)) ** 2).mean(dim=0)
    unbiased = spread * len(values) / (len(values) - 1)
    for key, old, new in (("running_mean", mean, seen), ("running_var", var, unbiased)):
        old = running.get(f"{name}.{key}", old)
        running[f"{name}.{key}"] = 0.9 * old + 0.1 * new.detach()
    return seen, spread


def normed(p, running, name, values, training):
    mean, var = statistics(p, running, name, values, training)
    x = (values - mean) / (var + 1e-5) ** 0.5
    return x * p[f"{name}.weight"] + p[f"{name}.bias"]


def images(p, running, features, layers, training):
    """Regions of unit length, (B, K) lists of vectors."""
    x = [[apply(p, "image_encoder.projection", r) for r in image] for image in features]
    for layer in range(layers):
        name = f"image_encoder.graph.{layer}"
        passed = []
        for image in x:
            count = range(len(image))
            a = [apply(p, f"{name}.subject", apply(p, f"{name}.theta", r)) for r in image]
            b = [apply(p, f"{name}.object", apply(p, f"{name}.phi", r)) for r in image]
            g = [apply(p, f"{name}.message", r) for r in image]
            for i in count:
                y = sum((a[i] @ b[j]) / len(image) * g[j] for j in count)
                passed.append(apply(p, f"{name}.output", y))
        passed = iter(normed(p, running, f"{name}.norm", torch.stack(passed), training))
        x = [[r + next(passed) for r in image] for image in x]
    return [[unit(r) for r in image] for image in x]


def sentences(p, ids, attention, released):
    """Words of unit length, lists of vectors; ``released``: padded to the longest, and counted."""
    width, found = max(map(len, ids)), []
    for caption in ids:
        padded = [*caption, *([Vocabulary.padding_id] * (width - len(caption)))]
        x = [p["text_encoder.embedding.weight"][i] for i in (padded if released else caption)]
        for layer in range(4 if attention else 0):
            name = f"text_encoder.attention.layers.{layer}"
            q, k, v = (
                [apply(p, f"{name}.{part}", w).tanh() for w in x]
                for part in ("query", "key", "value")
            )
            each = range(len(x))
            x = [sum((q[i] @ k[j]) / len(x) * v[j] for j in each) + x[i] for i in each]
        x = x[: len(caption)]
        there, back = gru(p, x, ""), gru(p, x[::-1], "_reverse")[::-1]
        found.append([unit((a + b) / 2) for a, b in zip(there, back, strict=True)])
    return found


def gru(p, x, end):
    weights = [p[f"text_encoder.gru.{n}_l0{end}"].chunk(3) for n in ("weight_ih", "weight_hh")]
    biases = [p[f"text_encoder.gru.{n}_l0{end}"].chunk(3) for n in ("bias_ih", "bias_hh")]
    h, states = weights[1][0].new_zeros(weights[1][0].shape[1]), []
    for w in x:
        (ri, zi, ni), (rh, zh, nh) = (
            [m @ value + b for m, b in zip(matrix, bias, strict=True)]
            for matrix, bias, value in zip(weights, biases, (w, h), strict=True)
        )
        r, z = torch.sigmoid(ri + rh), torch.sigmoid(zi + zh)
        n = torch.tanh(ni + r * nh)
        h = (1 - z) * n + z * h
        states.append(h)
    return states


def wholes(p, running, name, sets, norms, training):
    """The global vector of each set of rows; images' are normalised by slot and by channel."""
    each = [torch.stack([apply(p, f"{name}.each", r) for r in s]) for s in sets]
    mean = [apply(p, f"{name}.mean", sum(s) / len(s)) for s in sets]
    if norms:
        slots = len(each[0])
        turned = torch.cat([rows.T for rows in each])  # a row for each image and value
        turned = normed(p, running, f"{name}.slot_norm", turned, training)
        each = turned.view(len(sets), -1, slots).transpose(1, 2)
        mean = normed(p, running, f"{name}.mean_norm", torch.stack(mean), training)
    found = []
    for rows, e, m in zip(sets, each, mean, strict=True):
        logits = torch.stack([apply(p, f"{name}.common", x.tanh() * m.tanh()) for x in e])
        weights = logits.exp() / logits.exp().sum()
        found.append(unit(sum(w * r for w, r in zip(weights, rows, strict=True))))
    return found


def vectors(p, regions, words, image_whole, text_whole):
    """The similarity vectors of a pair, the global one first, if there is one."""
    found = []
    if image_whole is not None:
        found.append(unit(apply(p, "similarity.whole", (image_whole - text_whole) ** 2)))
    c = torch.stack([torch.stack([r @ w for w in words]) for r in regions])
    c = torch.where(c > 0, c, LEAKY * c)
    c = torch.stack([unit(row) for row in c])  # over the words, per region
    for j, word in enumerate(words):
        weights = (SMOOTHING * c[:, j]).exp()
        attended = sum(w * r for w, r in zip(weights / weights.sum(), regions, strict=True))
        found.append(unit(apply(p, "similarity.local", (unit(attended) - word) ** 2)))
    return found


def scores(p, features, ids, training=False, running=None, **on):
    """(images, captions), the model's parameters and buffers being ``p``."""
    running = {} if running is None else running
    attention, use_global, use_filter = (
        on.get(name, True) for name in ("use_word_attention", "use_global", "use_filter")
    )
    v = images(p, running, features, on.get("graph_layers", 4), training)
    t = sentences(p, ids, attention, on.get("padding") == "released")
    v_whole, t_whole = [None] * len(v), [None] * len(t)
    if use_global:
        v_whole = wholes(p, running, "image_encoder.pooling", v, True, training)
        t_whole = wholes(p, running, "text_encoder.pooling", t, False, training)
    columns = {}
    for c in sorted(range(len(ids)), key=lambda c: -len(ids[c])):  # the order of running statistics
        pairs = [vectors(p, v[i], t[c], v_whole[i], t_whole[c]) for i in range(len(v))]
        weights = torch.ones(len(pairs), len(pairs[0]), dtype=torch.float64)
        if use_filter:
            logits = torch.stack(
                [torch.cat([apply(p, "similarity.filter", s) for s in pair]) for pair in pairs]
            )
            flat = normed(p, running, "similarity.filter_norm", logits.reshape(-1, 1), training)
            weights = torch.sigmoid(flat).view(logits.shape)
        column = []
        for pair, w in zip(pairs, weights, strict=True):
            joint = unit(sum(a * s for a, s in zip(w / (w.sum() + TINY), pair, strict=True)))
            column.append(torch.sigmoid(apply(p, "similarity.output", joint))[0])
        columns[c] = torch.stack(column)
    return torch.stack([columns[c] for c in range(len(ids))], dim=1)
