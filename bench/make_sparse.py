#!/usr/bin/env python3
"""Makes checkpoint folders for measurements: real headers, real sizes, and bytes only where they are asked for.

    bench/make_sparse.py llama-70b DIR     the layout of a 70 B Llama: 723 tensors, 141 GB in 30 sparse shards (a few MB of disk)
    bench/make_sparse.py experts DIR       an architecture that nobody knows: 46,080 expert tensors in 40 sparse shards
    bench/make_sparse.py dense-2gb DIR     a Llama of 2.0 GB in 2 shards of random bytes (2.0 GB of disk)
    bench/make_sparse.py dense-8gb DIR     a Llama of 8.2 GB in 4 shards of random bytes (8.2 GB of disk)
    bench/make_sparse.py llama-80gb DIR    the layout of a Llama of 83 GB in 16 sparse shards: ten times dense-8gb
    bench/make_sparse.py llama-600gb DIR   the layout of a Llama of 601 GB in 95 sparse shards

The random bytes are finite bfloat16 numbers, so that a later run on them is not a study of NaN.
"""
import json
import os
import sys
from pathlib import Path

LLAMA_70B = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
             "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192, "rope_theta": 500000.0,
             "rms_norm_eps": 1e-05, "tie_word_embeddings": False}
LLAMA_80GB = {**LLAMA_70B, "num_hidden_layers": 46}
LLAMA_600GB = {**LLAMA_70B, "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 93, "num_attention_heads": 128}
LLAMA_4B = {**LLAMA_70B, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 20, "num_attention_heads": 32,
            "vocab_size": 32000}
LLAMA_1B = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 12, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192, "rope_theta": 500000.0,
            "rms_norm_eps": 1e-05, "tie_word_embeddings": True}
COMMON = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "bfloat16",
          "bos_token_id": 1, "eos_token_id": 2}
EXPERTS = {"architectures": ["NobodyKnowsMoeForCausalLM"], "model_type": "nobody_knows_moe", "hidden_size": 2048,
           "moe_intermediate_size": 768, "num_hidden_layers": 60, "n_routed_experts": 256, "vocab_size": 32000,
           "torch_dtype": "bfloat16"}


def llama_tensors(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", [hidden]
        for name, rows in (("q", hidden), ("k", kv), ("v", kv), ("o", hidden)):
            yield f"{at}self_attn.{name}_proj.weight", [rows, hidden]
        yield at + "post_attention_layernorm.weight", [hidden]
        yield at + "mlp.gate_proj.weight", [inner, hidden]
        yield at + "mlp.up_proj.weight", [inner, hidden]
        yield at + "mlp.down_proj.weight", [hidden, inner]
    yield "model.norm.weight", [hidden]
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", [config["vocab_size"], hidden]


def expert_tensors(config):
    hidden, inner = config["hidden_size"], config["moe_intermediate_size"]
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for i in range(config["num_hidden_layers"]):
        yield f"model.layers.{i}.input_layernorm.weight", [hidden]
        yield f"model.layers.{i}.mlp.router.weight", [config["n_routed_experts"], hidden]
        for e in range(config["n_routed_experts"]):
            at = f"model.layers.{i}.mlp.experts.{e}."
            yield at + "gate_proj.weight", [inner, hidden]
            yield at + "up_proj.weight", [inner, hidden]
            yield at + "down_proj.weight", [hidden, inner]
    yield "lm_head.weight", [config["vocab_size"], hidden]


def size(shape):
    total = 2
    for d in shape:
        total *= d
    return total


def random_bfloat16(count):
    """`count` bytes; the upper byte of each number keeps its sign and gets an exponent of 2^-15 to 2^0."""
    data = bytearray(os.urandom(count))
    high = bytes((b & 0x80) | 0x38 | (b & 0x07) for b in range(256))
    data[1::2] = data[1::2].translate(high)
    return data


def write(folder, config, tensors, shards, random):
    folder.mkdir(parents=True)
    tensors = list(tensors)
    total = sum(size(shape) for _, shape in tensors)
    groups, current, filled = [], [], 0
    for name, shape in tensors:
        if current and filled >= total / shards:
            groups, current, filled = groups + [current], [], 0
        current.append((name, shape))
        filled += size(shape)
    groups.append(current)
    weight_map = {}
    for number, group in enumerate(groups, 1):
        file_name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        header, offset = {}, 0
        for name, shape in group:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size(shape)]}
            offset += size(shape)
            weight_map[name] = file_name
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / file_name, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            if random:
                # One piece again and again, cut elsewhere each time: nobody here looks for repetitions.
                piece = memoryview(random_bfloat16(32 << 20))
                at = number = 0
                while at < offset:
                    skip = 2 * (number * 1299709 % (8 << 20))
                    part = piece[skip:skip + min(16 << 20, offset - at)]
                    file.write(part)
                    at, number = at + len(part), number + 1
            else:
                file.truncate(8 + len(text) + offset)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    print(f"{folder}: {len(tensors)} tensors, {total} bytes of weights in {len(groups)} files", file=sys.stderr)


def make(kind, folder):
    folder = Path(folder)
    if kind == "llama-70b":
        write(folder, {**COMMON, **LLAMA_70B}, llama_tensors(LLAMA_70B), 30, random=False)
    elif kind == "experts":
        write(folder, EXPERTS, expert_tensors(EXPERTS), 40, random=False)
    elif kind == "llama-80gb":
        write(folder, {**COMMON, **LLAMA_80GB}, llama_tensors(LLAMA_80GB), 17, random=False)
    elif kind == "llama-600gb":
        write(folder, {**COMMON, **LLAMA_600GB}, llama_tensors(LLAMA_600GB), 120, random=False)
    elif kind == "dense-8gb":
        write(folder, {**COMMON, **LLAMA_4B}, llama_tensors(LLAMA_4B), 4, random=True)
    elif kind == "dense-2gb":
        write(folder, {**COMMON, **LLAMA_1B}, llama_tensors(LLAMA_1B), 2, random=True)
    else:
        sys.exit(f"make_sparse.py: unknown kind '{kind}'\n{__doc__}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(sys.argv[1], sys.argv[2])
