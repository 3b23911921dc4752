#!/usr/bin/env python3
"""What people use today, as short as it gets; bench/run --peers PYTHON starts these with that Python and compares.

    peer_tools.py ggml FOLDER OUT TYPE     encodes every matrix by ggml's own encoder (ggml_quantize_chunk), and writes it; needs xllamacpp
    peer_tools.py gguf FOLDER OUT TYPE     as a conversion with the gguf package does it: gguf.quants, GGUFWriter
    peer_tools.py copy FOLDER OUT          safetensors.torch.load_file and save_file of each shard
    peer_tools.py int8 FOLDER OUT          the same with matrices rounded to int8 per row by torch
"""
import ctypes
import glob
import importlib.util
import os
import sys

TYPES = {"q8_0": 8, "q4_0": 2, "q4_k": 12}  # GGML_TYPE_*


def matrices(folder):
    """name, tensor; one shard open at a time, as converters do it."""
    from safetensors import safe_open
    for path in sorted(glob.glob(folder + "/*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():
                yield name, file.get_tensor(name)


def ggml(folder, out, kind):
    import numpy as np
    import torch
    library = ctypes.CDLL(glob.glob(os.path.dirname(importlib.util.find_spec("xllamacpp").origin) + "/*.so")[0])
    chunk, row_size = library.ggml_quantize_chunk, library.ggml_row_size
    chunk.restype = row_size.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    with open(out, "wb") as file:
        for _, tensor in matrices(folder):
            numbers = tensor.to(torch.float32).contiguous()
            if numbers.dim() < 2:
                file.write(numbers.numpy().tobytes())
                continue
            rows, columns = numbers.shape
            coded = np.empty(rows * row_size(TYPES[kind], columns), np.uint8)
            chunk(TYPES[kind], numbers.data_ptr(), coded.ctypes.data, 0, rows, columns, None)
            file.write(coded)
        os.fsync(file.fileno())


def gguf_package(folder, out, kind):
    import gguf
    import torch
    scheme = gguf.GGMLQuantizationType[kind.upper()]
    writer = gguf.GGUFWriter(out, "llama")
    for name, tensor in matrices(folder):
        numbers = tensor.to(torch.float32).numpy()
        if numbers.ndim < 2:
            writer.add_tensor(name, numbers)
        else:
            writer.add_tensor(name, gguf.quants.quantize(numbers, scheme), raw_dtype=scheme)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def copy(folder, out, change=lambda tensors: tensors):
    from safetensors.torch import load_file, save_file
    os.makedirs(out)
    for path in sorted(glob.glob(folder + "/*.safetensors")):
        name = os.path.join(out, os.path.basename(path))
        save_file(change(load_file(path)), name, {"format": "pt"})
        with open(name, "rb") as file:
            os.fsync(file.fileno())


def int8(folder, out):
    import torch

    def change(tensors):
        result = {}
        for name, tensor in tensors.items():
            if tensor.dim() < 2 or "embed" in name or "lm_head" in name:
                result[name] = tensor
                continue
            numbers = tensor.to(torch.float32)
            scale = numbers.abs().amax(1, keepdim=True) / 127
            result[name] = torch.round(numbers / scale).to(torch.int8)
            result[name + "_scale"] = scale.to(torch.bfloat16)
        return result
    copy(folder, out, change)


if __name__ == "__main__":
    {"ggml": ggml, "gguf": gguf_package, "copy": copy, "int8": int8}[sys.argv[1]](*sys.argv[2:])
