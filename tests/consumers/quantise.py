"""Quantised checkpoints made by hand in the forms that engines read: what they load is then independent of what flagrelease writes."""
import json
import os
import shutil

import numpy

import support

LINEAR = ("_proj.weight",)


def read(folder):
    tensors = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        tensors.update(support.fr_runner.read_tensors(os.path.join(folder, file)))
    return tensors


def rows_to_int8(weights):
    """[out, in] -> int8 and a scale per row, symmetric."""
    scale = numpy.abs(weights).max(1, keepdims=True) / numpy.float32(127)
    scale[scale == 0] = 1
    return numpy.clip(numpy.rint(weights / scale), -128, 127).astype(numpy.int8), scale.astype(numpy.float32)


def w8a8(source, target):
    """compressed-tensors "int-quantized": weights int8 per row, activations int8 per token, scaled while running. Returns what the
    weights stand for now, {name: float32}."""
    os.makedirs(target)
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    whole, meant = {}, {}
    for name, tensor in read(source).items():
        if name.endswith(LINEAR):
            weights = support.floats(tensor)
            packed, scale = rows_to_int8(weights)
            whole[name], whole[name + "_scale"] = packed, scale
            meant[name] = packed * scale
        else:
            whole[name] = tensor
            meant[name] = support.floats(tensor)
    number = {"num_bits": 8, "type": "int", "symmetric": True, "group_size": None, "actorder": None, "block_structure": None, "observer_kwargs": {}}
    config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed", "ignore": ["lm_head"],
        "global_compression_ratio": None, "kv_cache_scheme": None,
        "config_groups": {"group_0": {"targets": ["Linear"], "output_activations": None,
                                      "weights": dict(number, strategy="channel", dynamic=False, observer="minmax"),
                                      "input_activations": dict(number, strategy="token", dynamic=True, observer=None)}}}
    with open(os.path.join(target, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    support.fr_runner.write_tensors(os.path.join(target, "model.safetensors"), whole)
    return meant


def plain(source, target, meant):
    """The same model with these float32 weights, unquantised."""
    os.makedirs(target)
    shutil.copy(os.path.join(source, "config.json"), target)
    support.fr_runner.write_tensors(os.path.join(target, "model.safetensors"), meant)
    return target
