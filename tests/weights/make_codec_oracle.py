#!/usr/bin/env python3
"""Writes what other libraries make of the block formats: tests/weights/codecs_oracle.safetensors and .json.

    tests/weights/make_codec_oracle.py [MODEL]     # MODEL: the example's model.safetensors

Needs numpy, safetensors, ml_dtypes, and xllamacpp, whose library exports ggml: its dequantize_row_* and ggml_quantize_chunk are the
oracle, its version is recorded. The first file holds
    decode/NAME/blocks   U8 [blocks, bytes]       random, the first two all 255 and all 0
    decode/NAME/values   F32 [elements]           every NaN as 7fc00000
    encode/input         F32 [rows, 2048]         one kind of data per row (`rows`)
    encode/NAME          U8 [rows, bytes]         where the bytes must be equal
    error/NAME           F64 [rows]               sum of squares of input - decoded, for the others
    narrow/input, narrow/TYPE, widen/TYPE         single numbers to and from 8 and 4 bits (ml_dtypes)
and the second: `rows`, `sizes` (type id, elements, bytes by ggml), `decoded` (sha256 of the values of 65536 elements of
splitmix64 bytes), `model` (per tensor: sha256 of the bytes, or the error), `versions`.
"""
import ctypes
import glob
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

HERE = Path(__file__).parent
IDS = {"q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10, "q3_k": 11, "q4_k": 12, "q5_k": 13, "q6_k": 14,
       "iq2_xxs": 16, "iq2_xs": 17, "iq3_xxs": 18, "iq1_s": 19, "iq4_nl": 20, "iq3_s": 21, "iq2_s": 22, "iq4_xs": 23,
       "iq1_m": 29, "tq1_0": 34, "tq2_0": 35, "mxfp4": 39, "nvfp4": 40, "q1_0": 41, "q2_0": 42}
EQUAL = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mxfp4"]
SEARCHED = ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k"]
NARROW = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e8m0": ml_dtypes.float8_e8m0fnu,
          "e2m1": ml_dtypes.float4_e2m1fn}

[LIBRARY] = glob.glob(sys.prefix + "/lib/python3*/site-packages/xllamacpp/*.so")
ggml = ctypes.CDLL(LIBRARY)
ggml.ggml_type_size.restype = ctypes.c_size_t
ggml.ggml_blck_size.restype = ctypes.c_int64
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t


def sizes(name):
    return int(ggml.ggml_blck_size(IDS[name])), int(ggml.ggml_type_size(IDS[name]))


def decode(name, blocks):
    elements, size = sizes(name)
    out = np.empty(blocks.size // size * elements, np.float32)
    row = getattr(ggml, "dequantize_row_" + name.replace("_k", "_K"))
    row.restype = None
    row(ctypes.c_void_p(blocks.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(out.size))
    return np.where(np.isnan(out), np.float32(np.nan), out)


def encode(name, values):
    values = np.ascontiguousarray(values, np.float32)
    elements, size = sizes(name)
    out = np.zeros(values.size // elements * size, np.uint8)
    ggml.ggml_quantize_chunk(IDS[name], ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(0),
                             ctypes.c_int64(1), ctypes.c_int64(values.size), None)
    return out


def error(name, values):
    decoded = decode(name, encode(name, values)).astype(np.float64)
    return float(((decoded - values) ** 2).sum())


def splitmix(count, seed):
    """`count` bytes of splitmix64, little endian."""
    state = np.uint64(seed) + np.arange(1, count // 8 + 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))).view(np.uint8)[:count].copy()


def rows(random):
    n = 2048
    normal = lambda: random.standard_normal(n)
    yield "normal", normal() * 0.02
    yield "laplace", random.laplace(size=n) * 0.05
    yield "heavy tails", random.standard_t(2, n) * 0.02
    outliers = normal() * 0.02
    outliers[::311] *= 50
    yield "outliers", outliers
    yield "constants", np.repeat(random.standard_normal(8) * [1e-3, 0.01, 0.1, 1, 1, 10, 100, 1000], 256)
    yield "zeros of both signs", np.where(random.random(n) < 0.5, -0.0, 0.0)
    yield "tiny", normal() * 1e-5
    yield "below half precision", normal() * 1e-7
    yield "near 2^-125", np.exp2(-124.5 - random.random(n)) * np.repeat(1 + 30 * random.random(8), 256)
    yield "large", normal() * 1e4
    yield "positive", np.abs(normal()) * 0.02
    yield "negative", -np.abs(normal()) * 0.02
    yield "rectified, with negative zeros", np.where(random.random(n) < 0.5, -0.0, np.abs(normal()))
    yield "far from zero", normal() * 0.01 + 1
    yield "far from zero, negative", normal() * 0.01 - 1
    yield "uniform", random.random(n) - 0.5
    yield "three numbers", random.integers(-1, 2, n) * 0.03
    yield "sixteen numbers", random.integers(-8, 8, n) * 0.0121
    yield "sparse", np.where(random.random(n) < 0.02, normal(), 0)
    yield "rows of different size", normal() * np.repeat(np.exp(2 * random.standard_normal(n // 32)), 32)
    yield "plus and minus", np.tile([0.5, -0.5], n // 2)
    # Largest magnitudes just below powers of two: rounding log2 to a float takes those within `reach` floats for the power itself.
    powers = [3, 2, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 90, -1, -2, -3, -4, -7, -8, -15, -16, -31, -32, -63, -64, -65, -90, 1]
    edges = []
    for power in powers:
        inside = abs(power) - (power > 0 and abs(power).bit_count() == 1)
        reach = int(2.0 ** (inside.bit_length() - 1) * np.log(2)) if inside else 0
        edges += [int(np.float32(2.0**power).view(np.uint32)) - reach, int(np.float32(2.0**power).view(np.uint32)) - reach - 1]
    below = np.array(edges, np.uint32).view(np.float32)
    yield "below powers of two", np.concatenate([below[:, None], below[:, None] * (random.random((n // 32, 31)) - 0.5)], 1).ravel()
    # Blocks of 32 that have a known step, and values halfway between two codes or a float beside that.
    halfway = []
    for block in range(n // 32):
        levels = (8, 16, 127, 15, 31)[block % 5]
        codes = random.integers(0 if levels in (15, 31) else -levels, levels, 32) + 0.5
        codes[:2] = (0, levels) if levels in (15, 31) else (-levels, levels - 1)
        values = (random.permutation(codes) * 2.0 ** -random.integers(0, 12)).astype(np.float32)
        step = np.where(values % 1 == 0, 0, random.integers(-1, 2, 32))
        halfway.append((values.view(np.int32) + np.where(values == 0, 0, step)).astype(np.int32).view(np.float32) if block % 2 else values)
    yield "halfway between codes", np.concatenate(halfway)


def numbers(random):
    """Every code of every small type, the midpoints between them, the floats beside those, and random ones."""
    points = [np.float32(x) for x in (0, 448, 464, 480, 57344, 61440, 65536, 6, 5, 7, 3.4e38, 1e-45, 2.0**-127, 2.0**-126, 2.0**-149)]
    for kind in NARROW.values():
        codes = np.arange(256 if kind is not ml_dtypes.float4_e2m1fn else 16, dtype=np.uint8).view(kind).astype(np.float32)
        codes = np.unique(codes[np.isfinite(codes) & (codes >= 0)])
        points += list(codes) + list(((codes[1:].astype(np.float64) + codes[:-1]) / 2).astype(np.float32))
    points = np.unique(np.array(points, np.float32)).view(np.uint32)
    around = np.unique(np.concatenate([points, points + 1, np.maximum(points, 1) - 1]))
    bits = np.concatenate([around, random.integers(0, 2**31, 1000).astype(np.uint32),
                           np.array([0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF], np.uint32)])
    return np.concatenate([bits, bits | 0x80000000]).astype(np.uint32).view(np.float32)


def main():
    model = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "../../examples/models/kjv-qwen3-5m/model.safetensors")
    random = np.random.default_rng(20)
    tensors, decoded = {}, {}
    for number, name in enumerate(IDS):
        elements, size = sizes(name)
        count = 1024 // elements
        blocks = random.integers(0, 256, (count, size), np.uint8)
        blocks[0], blocks[1] = 255, 0
        tensors[f"decode/{name}/blocks"], tensors[f"decode/{name}/values"] = blocks, decode(name, blocks)
        decoded[name] = hashlib.sha256(decode(name, splitmix(65536 // elements * size, number)).tobytes()).hexdigest()

    names, data = zip(*rows(random))
    data = np.stack([np.asarray(row, np.float64).astype(np.float32) for row in data])
    tensors["encode/input"] = data
    for name in EQUAL:
        tensors["encode/" + name] = np.stack([encode(name, row) for row in data])
    for name in SEARCHED:
        tensors["error/" + name] = np.array([error(name, row) for row in data])

    tensors["narrow/input"] = numbers(random)
    with np.errstate(all="ignore"):
        for name, kind in NARROW.items():
            tensors["narrow/" + name] = tensors["narrow/input"].astype(kind).view(np.uint8)
            tensors["widen/" + name] = np.arange(16 if name == "e2m1" else 256, dtype=np.uint8).view(kind).astype(np.float32)

    of_model = {}
    with safe_open(model, "pt") as file:
        for key in sorted(file.keys()):
            values = file.get_tensor(key).float().numpy()
            if values.ndim == 2 and values.shape[1] % 256 == 0:
                of_model[key] = {name: hashlib.sha256(encode(name, values).tobytes()).hexdigest() for name in EQUAL}
                of_model[key].update({name: error(name, values.ravel()) for name in SEARCHED})

    metadata = {"rows": names, "sizes": {name: [IDS[name], *sizes(name)] for name in IDS}, "decoded": decoded, "model": of_model,
                "versions": {package: version(package) for package in ("xllamacpp", "ml_dtypes", "numpy")}}
    (HERE / "codecs_oracle.safetensors").write_bytes(save(tensors))
    (HERE / "codecs_oracle.json").write_text(json.dumps(metadata, indent=1) + "\n")


main()
