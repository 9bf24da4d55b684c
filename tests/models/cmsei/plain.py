"""CMSEI written straight from the paper, Eq. 1-9, over regions i and words j, in float64."""

import torch

OVERLAP, SMOOTHING = 0.4, {"i2t": 4.0, "t2i": 9.0}


def apply(parameters, name, vector):
    """W x, and + b where the layer has one."""
    result = parameters[f"{name}.weight"] @ vector
    return result + parameters[f"{name}.bias"] if f"{name}.bias" in parameters else result


def residual(parameters, name, vectors):
    """W_r of every vector; where there is a BatchNorm, in evaluation, by its running statistics."""
    normed = []
    for vector in vectors:
        x = apply(parameters, f"{name}.linear", vector)
        if f"{name}.norm.weight" not in parameters:
            normed.append(x)
            continue
        mean, variance = (parameters[f"{name}.norm.running_{k}"] for k in ("mean", "var"))
        x = (x - mean) / (variance + 1e-5) ** 0.5
        normed.append(x * parameters[f"{name}.norm.weight"] + parameters[f"{name}.norm.bias"])
    return normed


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, c[2] - c[0]) * max(0.0, c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union > 0 else 0.0


def cosine(a, b):
    return (a @ b) / (a.norm() * b.norm())


def graph(edges, parameters, name, vectors):
    """Row i of A X W_g."""
    mapped = [apply(parameters, name, vector) for vector in vectors]
    size = range(len(vectors))
    return [sum(edges[i][j] * mapped[j] for j in size) for i in size]


def image(parameters, regions, boxes, relations, config):
    """V and V^f of one image."""
    spatial, semantic = config.use_spatial_graph, config.use_semantic_graph
    p, k = parameters, range(len(regions))
    v = [apply(p, "image_encoder.projection", x) for x in regions]
    vs = v
    if spatial:
        phi = [apply(p, "image_encoder.affinity.phi", x) for x in v]
        theta = [apply(p, "image_encoder.affinity.theta", x) for x in v]
        near = [[overlap(boxes[i], boxes[j]) > OVERLAP for j in k] for i in k]
        edges = [[phi[i] @ theta[j] / len(v) if near[i][j] else 0.0 for j in k] for i in k]
        passed = graph(edges, p, "image_encoder.spatial_graph", v)
        vs = [
            r + x
            for r, x in zip(residual(p, "image_encoder.spatial_residual", passed), v, strict=True)
        ]
    if not spatial and not semantic:
        return v, v
    inner = vs
    if semantic:
        either = config.symmetric_relations
        related = [[bool(relations[i][j] or (either and relations[j][i])) for j in k] for i in k]
        edges = [[1 / len(v) if related[i][j] else 0.0 for j in k] for i in k]
        nodes = {"spatial": vs, "projected": v}[config.semantic_nodes]
        passed = graph(edges, p, "image_encoder.relation_graph", nodes)
        passed = residual(p, "image_encoder.relation_residual", passed)
        inner = [a + b for a, b in zip(passed, vs, strict=True)]
    joint = residual(p, "image_encoder.joint_residual", inner)
    return v, [a + b for a, b in zip(joint, v, strict=True)]


def sentence(parameters, t, use_graph=True):
    """T^f of one sentence from T."""
    if not use_graph:
        return t
    p, n = parameters, range(len(t))
    phi = [apply(p, "text_encoder.affinity.phi", x) for x in t]
    theta = [apply(p, "text_encoder.affinity.theta", x) for x in t]
    edges = [[phi[i] @ theta[j] / len(t) for j in n] for i in n]
    passed = residual(p, "text_encoder.residual", graph(edges, p, "text_encoder.graph", t))
    return [a + b for a, b in zip(passed, t, strict=True)]


def attention(x, y, config):
    """Of every x_i over the y_j, before the softmax."""
    cosines = [[cosine(xi, yj) for yj in y] for xi in x]
    if config.attention == "clipped_l2norm":
        clipped = [[c * (c > 0) for c in row] for row in cosines]
        lengths = [sum(row[j] ** 2 for row in clipped) for j in range(len(y))]
        cosines = [
            [c / n**0.5 if n > 0 else c for c, n in zip(row, lengths, strict=True)]
            for row in clipped
        ]
    smoothing = SMOOTHING[config.direction] if config.smoothing is None else config.smoothing
    return [smoothing * torch.stack(row) for row in cosines]


def score(parameters, query, context, config):
    """Of a query (plain rows, enhanced rows) with a context; I-T: image, sentence."""
    p, (plain, x), (context_plain, y) = parameters, query, context
    for number in range(2) if config.use_local_interaction else ():
        name = f"interaction.rounds.{number}"
        attended = []
        for xi, logits in zip(x, attention(x, y, config), strict=True):
            weights = logits.exp()
            q = sum(w * yj for w, yj in zip(weights / weights.sum(), y, strict=True))
            inner = xi * torch.tanh(apply(p, f"{name}.gate", q)) + apply(p, f"{name}.shift", q)
            attended.append(torch.relu(apply(p, f"{name}.fusion", inner)) + xi)
        x = attended
    average = {"projected": context_plain, "enhanced": y}[config.global_from]
    whole = sum(average) / len(average)
    if config.use_global_interaction:
        gated = []
        for xi, vi in zip(x, plain, strict=True):
            r = torch.sigmoid(apply(p, "interaction.importance", xi) * whole)
            gated.append(r * xi + xi + torch.relu(vi))
        x = gated
    return cosine(sum(x) / len(x), whole)
