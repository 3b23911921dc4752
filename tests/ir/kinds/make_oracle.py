#!/usr/bin/env python3
"""Writes what torch gives for the functions of tests/exporters/Inputs/kinds.mlir: tests/ir/kinds/oracle.json.

Needs torch and numpy. Inputs are multiples of 1/64, so that they are exact in every type; outputs are computed in f64. Recurrences
are Python loops, experts one product for each token and choice, masks a comparison of places in a list of real tokens.
The file holds for each function `inputs` and `outputs`: name -> {shape, values}; an input of integers has `ints` for `values`.
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

B, S, C = 2, 5, 3
random = np.random.default_rng(5)
cases = {}


def real(*shape):
    return torch.tensor(np.round(random.normal(size=shape) * 64) / 64, dtype=torch.float64)


def whole(*shape):
    return torch.tensor(random.integers(-4, 5, size=shape))


def record(name, inputs, outputs):
    def entry(t):
        t = torch.as_tensor(t)
        if t.dtype == torch.bool or not t.is_floating_point():
            return {"shape": list(t.shape), "ints": t.reshape(-1).to(torch.int64).tolist()}
        return {"shape": list(t.shape), "values": [float(f"{v:.10g}") for v in t.reshape(-1).tolist()]}

    cases[name] = {"inputs": {k: entry(v) for k, v in inputs.items()}, "outputs": {k: entry(v) for k, v in outputs.items()}}


x, n = real(B, S, 8), whole(B, S, 8)
softplus = lambda v: torch.tensor(np.logaddexp(0, v.numpy()))
record("elementwise", {"x": x, "n": n}, {"abs": x.abs(), "abs_int": n.abs(), "not": ~(x > 0), "softplus": softplus(x)})
far = torch.tensor([-1000, -100, -40, -20, -0.0009765625, 0, 20, 40, 100, 1000], dtype=torch.float64)
record("extremes", {"x": far}, {"softplus": softplus(far), "abs": far.abs()})
record("narrow", {"x": x}, {"last": x[:, -1:], "columns": x[:, :, 4:7], "second_half": x})
row = real(B, 1, 8)
record("broadcast", {"row": row, "x": x}, {"rows": row - x, "lead": torch.stack([row - x, row - x])})
record("pad", {"x": x, "n": n}, {
    "edge": F.pad(x, (2, 3), mode="replicate"), "reflect": F.pad(x, (2, 3), mode="reflect"), "ints": F.pad(n, (5, 0), value=7),
    "reflected_ints": F.pad(n.double(), (0, 5), mode="reflect").long(), "constant": F.pad(x, (1, 0, 1, 2, 0, 1), value=-1.5)})


def top(v, k):  # of equals the first
    values, places = torch.sort(v, dim=-1, descending=True, stable=True)
    return values[..., :k], places[..., :k]


tied = torch.round(x)
assert any(len(set(r)) < len(r) for r in top(tied, 3)[0].reshape(-1, 3).tolist())
record("top_k", {"x": tied, "n": n}, {"values": top(tied, 3)[0], "places": top(tied, 3)[1], "ints": top(n, 3)[0], "first_places": top(n, 3)[1]})

decay, first, offset = real(B, S, 8), real(B, 8), real(8)
h, every = first, []
for i in range(S):
    h = h * decay[:, i] + x[:, i]
    every.append(h - offset)
counts = n[:, :1] + torch.cumsum(n, 1)
record("scan", {"x": x, "decay": decay, "first": first, "n": n, "offset": offset},
       {"last": h, "all": torch.stack(every, 1), "count": counts[:, -1], "counts": counts, "mapped": x + offset,
        "batches": torch.cumsum(x, 1), "nested": torch.cumsum(x, 1) + offset})


def margins(v, *pairs):  # of the last dimension first, as torch.nn.functional.pad counts
    return F.pad(v, pairs)


s, w, b, v = real(B, 4, S), real(6, 2, 3), real(6), real(4, 1, 2)
record("conv_1d", {"x": s, "w": w, "b": b, "v": v},
       {"strided": F.conv1d(margins(s, 1, 1), w, b, stride=2, groups=2), "causal": F.conv1d(margins(s, 2, 0), v, dilation=2, groups=4)})
image, w, b = real(2, 4, 7, 6), real(6, 2, 3, 2), real(6)
record("conv_2d", {"x": image, "w": w, "b": b}, {"y": F.conv2d(margins(image, 0, 1, 1, 2), w, b, stride=(2, 1), dilation=(1, 2), groups=2)})
box, w = real(1, 2, 4, 5, 5), real(3, 2, 2, 2, 3)
record("conv_3d", {"x": box, "w": w}, {"y": F.conv3d(margins(box, 1, 1, 1, 0, 0, 1), w, stride=(2, 1, 2), dilation=(1, 2, 1))})

w, b = real(4, 3, 4), real(6)
record("conv_transpose_1d", {"x": s, "w": w, "b": b}, {"y": F.conv_transpose1d(s, w, b, stride=2, padding=1, groups=2)})
small, w = real(2, 4, 3, 4), real(4, 3, 3, 2)
full = F.conv_transpose2d(small, w, stride=(2, 3), output_padding=(0, 1), dilation=(2, 1))  # margins are cut off by hand
record("conv_transpose_2d", {"x": small, "w": w}, {"y": full[:, :, 0:full.shape[2] - 1, 1:]})
cube, w, b = real(1, 2, 2, 2, 3), real(2, 2, 2, 2, 2), real(2)
# An output padding that torch refuses without a stride or dilation above it stands where the stride is 2.
record("conv_transpose_3d", {"x": cube, "w": w, "b": b}, {"y": F.conv_transpose3d(cube, w, b, stride=(1, 2, 1), output_padding=(0, 1, 0))})

ones = torch.ones_like(image)
record("pool", {"x": image, "s": s, "v": box}, {
    "max": F.max_pool2d(image, (3, 2), (2, 2), (1, 1)), "mean": F.avg_pool2d(image, (3, 2), (2, 2), (1, 1), count_include_pad=False),
    "mean_with_margin": F.avg_pool2d(image, (3, 2), (2, 2), (1, 1), count_include_pad=True), "max_1d": F.max_pool1d(s, 3, 2, 1),
    "mean_1d": F.avg_pool1d(s, 3, 2, 1, count_include_pad=False), "mean_3d": F.avg_pool3d(box, (2, 3, 2), (2, 2, 1), (0, 1, 0))})
sums = F.avg_pool2d(margins(image, 1, 0, 0, 1), 2, 1) * 4
record("pool_one_side", {"x": image}, {
    "max": F.max_pool2d(F.pad(image, (1, 0, 0, 1), value=-math.inf), 2, 1), "mean": sums / (F.avg_pool2d(margins(ones, 1, 0, 0, 1), 2, 1) * 4),
    "mean_with_margin": sums / 4})

image = real(1, 2, 7, 6)
up, down = (10, 9), (3, 4)
record("interpolate", {"x": image}, {
    "nearest": F.interpolate(image, up, mode="nearest"), "nearest_down": F.interpolate(image, down, mode="nearest"),
    "linear": F.interpolate(image, up, mode="bilinear"), "linear_down": F.interpolate(image, down, mode="bilinear"),
    "linear_corners": F.interpolate(image, up, mode="bilinear", align_corners=True),
    "cubic": F.interpolate(image, up, mode="bicubic"), "cubic_down": F.interpolate(image, down, mode="bicubic"),
    "cubic_corners": F.interpolate(image, up, mode="bicubic", align_corners=True)})
seven = real(B, 4, 7)
cube = real(1, 2, 2, 3, 4)
record("interpolate_1d", {"x": seven, "v": cube}, {
    "linear": F.interpolate(seven, 5, mode="linear"), "nearest": F.interpolate(seven, 21, mode="nearest"),
    "nearest_3d": F.interpolate(cube, (4, 6, 8), mode="nearest"), "linear_3d": F.interpolate(cube, (3, 2, 7), mode="trilinear")})

image, w, b = real(2, 4, 2, 3), real(4), real(4)
record("group_norm", {"x": image, "w": w, "b": b}, {
    "both": F.group_norm(image, 2, w, b, 1e-5), "scale": F.group_norm(image, 1, w, None, 1e-5), "shift": F.group_norm(image, 4, None, b, 1e-2),
    "plain": F.group_norm(image, 2, None, None, 1e-5)})
pairs, w, b = real(B, 6, S), real(6), real(6)
record("group_norm_1d", {"x": pairs, "w": w, "b": b}, {"y": F.group_norm(pairs, 3, w, b, 1e-3)})

T = C + S
q, k, v = real(B, 4, S, 8), real(B, 2, T, 8), real(B, 2, T, 6)
bias, by_key, sinks = real(4, S, T), real(B, 1, 1, T), real(4)
mask = torch.ones(B, T, dtype=torch.int64)
mask[1, :2] = 0
mask[1, 5] = 0


def attend(scale, visible=None, bias=None, sinks=None, cap=None):
    keys, values = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    scores = q @ keys.transpose(2, 3) * scale
    if cap:
        scores = cap * torch.tanh(scores / cap)
    if bias is not None:
        scores = scores + bias
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    if sinks is not None:
        scores = torch.cat([scores, sinks.view(1, 4, 1, 1).expand(B, 4, S, 1)], 3)
    return torch.softmax(scores, -1)[..., :T] @ values


causal = torch.tensor([[[[bool(mask[i, t]) and t <= C + j for t in range(T)] for j in range(S)]] for i in range(B)])
record("attention", {"q": q, "k": k, "v": v, "mask": mask, "bias": bias, "by_key": by_key, "sinks": sinks}, {
    "biased": attend(0.25, causal, bias), "biased_by_key": attend(0.25, None, by_key), "sinks_only": attend(0.5, None, None, sinks),
    "everything": attend(0.5, causal, bias, sinks, 3.0)})

# Every query here is a real token: what a query of padding sees is nobody's concern.
mask = torch.ones(B, T, dtype=torch.int64)
mask[1, :2] = 0


def visible(sees, padded=True, columns=None):
    out = torch.zeros(B, 1, S, T, dtype=torch.bool)
    for i in range(B):
        real_tokens = [t for t in range(T) if not padded or mask[i, t]]
        for j in range(S):
            own = C + j if columns is None else int(columns[j])
            for place, t in enumerate(real_tokens):
                out[i, 0, j, t] = sees(real_tokens.index(own), place, own, t)
    return out


columns = torch.tensor([3, 2, 4, 7, 5])
record("mask_kinds", {"mask": mask, "columns": columns}, {
    "two_sided": visible(lambda a, p, own, t: abs(a - p) < 3), "two_sided_unpadded": visible(lambda a, p, own, t: abs(a - p) < 2, False),
    "chunks": visible(lambda a, p, own, t: t <= own and a // 3 == p // 3), "chunks_unpadded": visible(lambda a, p, own, t: a // 3 == p // 3, False),
    "chunks_by_columns": visible(lambda a, p, own, t: t <= own and a // 2 == p // 2, True, columns)})

positions = torch.tensor([[0, 1, 2, 7, 30], [3, 4, 5, 6, 9]])
frequencies = torch.tensor([100.0 ** (-2 * j / 8) if j < 3 else 0 for j in range(4)], dtype=torch.float32).double()
angles = positions.double()[..., None] * frequencies
record("proportional", {"position_ids": positions}, {"cos": 1.25 * angles.cos(), "sin": 1.25 * angles.sin()})

router, gate, up, down = real(B, S, 5), real(5, 4, 8), real(5, 4, 8), real(5, 8, 4)
gate_bias, up_bias, down_bias = real(5, 4), real(5, 4), real(5, 8)
scores, at = torch.topk(router, 2)
scores = torch.softmax(scores, -1)


def experts(act, gated=True, gb=None, ub=None, db=None, limit=None, shift=0.0, scores_first=False):
    out = torch.zeros_like(x)
    for i in range(B):
        for j in range(S):
            for c in range(2):
                e, share = int(at[i, j, c]), scores[i, j, c]
                token = x[i, j] * share if scores_first else x[i, j]
                u = F.linear(token, up[e], None if ub is None else ub[e])
                if gated:
                    g = F.linear(token, gate[e], None if gb is None else gb[e])
                    if limit:
                        g, u = g.clamp(max=limit), u.clamp(-limit, limit)
                    middle = act(g) * (u + shift)
                else:
                    middle = act(u)
                y = F.linear(middle, down[e], None if db is None else db[e])
                out[i, j] += y if scores_first else share * y
    return out


record("moe", {"x": x, "router": router, "gate": gate, "up": up, "down": down, "gate_bias": gate_bias, "up_bias": up_bias, "down_bias": down_bias}, {
    "silu": experts(F.silu), "clamped": experts(lambda g: g * torch.sigmoid(1.702 * g), True, gate_bias, up_bias, down_bias, 2.0, 1.0),
    "scores_first": experts(F.silu, db=down_bias, scores_first=True), "no_gate": experts(lambda u: F.relu(u) ** 2, False, ub=up_bias),
    "gelu": experts(F.gelu), "gelu_tanh": experts(lambda g: F.gelu(g, approximate="tanh")), "relu": experts(F.relu, db=down_bias)})

lines = [f'{json.dumps(name)}: {json.dumps(case, separators=(",", ":"))}' for name, case in cases.items()]
header = json.dumps({"torch": torch.__version__.split("+")[0]})
Path(__file__).with_name("oracle.json").write_text('{"versions": ' + header + ',\n"cases": {\n' + ",\n".join(lines) + "\n}}\n")
