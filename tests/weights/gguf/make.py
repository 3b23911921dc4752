#!/usr/bin/env python3
"""Writes the GGUF files beside this script with the `gguf` package, so that our reader is judged by files that it did not write.

    python3 tests/weights/gguf/make.py          # needs: pip install gguf==0.19.0

values.gguf          every type of key-value, plain tensors, general.alignment 64
blocks.gguf          one tensor of two rows per block type; the bytes of tensor number n count up from n
split-0000?-of-00002.gguf   the same two tensors in two files
"""
from pathlib import Path

import numpy as np
from gguf import GGUFValueType, GGUFWriter, GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES

HERE = Path(__file__).parent
PLAIN = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16, GGMLQuantizationType.F64,
         GGMLQuantizationType.I8, GGMLQuantizationType.I16, GGMLQuantizationType.I32, GGMLQuantizationType.I64}
# Not found in files; the package's size of Q8_1 is that of an older ggml.
LEFT_OUT = {GGMLQuantizationType.Q8_1, GGMLQuantizationType.Q8_K}


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def values():
    w = GGUFWriter(HERE / "values.gguf", "llama")
    w.add_custom_alignment(64)
    w.add_uint8("t.u8", 200)
    w.add_int8("t.i8", -100)
    w.add_uint16("t.u16", 60000)
    w.add_int16("t.i16", -30000)
    w.add_uint32("t.u32", 4000000000)
    w.add_int32("t.i32", -2000000000)
    w.add_float32("t.f32", 1e-5)
    w.add_bool("t.bool", True)
    w.add_string("t.string", "grüß 你好")
    w.add_uint64("t.u64", 2**63 + 5)
    w.add_int64("t.i64", -(2**60))
    w.add_float64("t.f64", 0.1)
    w.add_array("t.ints", [1, -2, 3])
    w.add_array("t.floats", [0.5, -1.5])
    w.add_array("t.strings", ["a", "", "ccc"])
    w.add_array("t.bools", [True, False])
    w.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3))
    w.add_tensor("f16", np.arange(4, dtype=np.float16))
    w.add_tensor("bf16", np.arange(8, dtype=np.uint8).reshape(2, 4), raw_dtype=GGMLQuantizationType.BF16)
    w.add_tensor("f64", np.arange(2, dtype=np.float64))
    w.add_tensor("i8", np.arange(5, dtype=np.int8))
    w.add_tensor("i16", np.arange(5, dtype=np.int16))
    w.add_tensor("i32", np.arange(24, dtype=np.int32).reshape(1, 2, 3, 4))
    w.add_tensor("i64", np.arange(3, dtype=np.int64))
    finish(w)


def blocks():
    w = GGUFWriter(HERE / "blocks.gguf", "llama")
    for kind, (_, size) in GGML_QUANT_SIZES.items():
        if kind in PLAIN or kind in LEFT_OUT:
            continue
        rows = (np.arange(2 * size) + int(kind)).astype(np.uint8).reshape(2, size)
        w.add_tensor(kind.name, rows, raw_dtype=kind)
    finish(w)


def split():
    w = GGUFWriter(HERE / "split", "llama", split_max_tensors=1)
    w.add_string("general.name", "split")
    w.add_tensor("a", np.arange(3, dtype=np.float32))
    w.add_tensor("b", np.arange(5, dtype=np.float32))
    finish(w)


values()
blocks()
split()
