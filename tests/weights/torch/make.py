"""Writes the checkpoints of this folder with torch itself, and expected.json: what torch reads from each.

    python3 make.py        needs torch; run in this folder. Made with torch 2.15.0, Python 3.11.

expected.json: {file: {name: [safetensors dtype, shape, hex of the little-endian bytes]}}; null for a file that is to be refused.
"""
import json
import os
from collections import OrderedDict

import torch

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.uint16: "U16", torch.uint32: "U32",
         torch.uint64: "U64", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.float8_e8m0fnu: "F8_E8M0",
         torch.complex64: "C64"}
expected = {}


def entry(tensor):
    tensor = tensor.detach().contiguous()
    raw = bytes(tensor.reshape(-1).view(torch.uint8).tolist())
    return [NAMES[tensor.dtype], list(tensor.shape), raw.hex()]


def save(name, value, tensors, **how):
    torch.save(value, name, **how)
    expected[name] = None if tensors is None else {key: entry(tensor) for key, tensor in tensors.items()}


torch.manual_seed(1)
f32 = torch.randn(2, 3)

# Every dtype, with what a state dict has beside tensors.
every = OrderedDict((str(dtype)[6:], torch.arange(-3, 3).abs().reshape(2, 3).to(dtype)) for dtype in NAMES)
every["scalar"], every["empty"] = torch.tensor(1.5), torch.zeros(0, 4)
every["extra"], every["note"], every["size"], every["device"], every["dtype"] = 7, "text", torch.Size([1, 2]), torch.device("cpu"), torch.int8
every._metadata = {"": {"version": 1}}
tensors = {key: value for key, value in every.items() if isinstance(value, torch.Tensor)}
save("dtypes.bin", every, tensors)
for protocol in (3, 4, 5):
    save("protocol%d.bin" % protocol, every, tensors, pickle_protocol=protocol)

# A module: parameters, tied weights, a buffer; views with an offset.
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("steps", torch.tensor([1, 2, 3]))


model = Model().to(torch.bfloat16)
save("tied.bin", model.state_dict(), model.state_dict())
parameters = {"p": torch.nn.Parameter(f32.clone()), "q": torch.nn.Parameter(f32.half(), requires_grad=False)}
parameters["p"].mark, attributed = 3, torch.ones(2)
attributed.mark = "x"
parameters["t"] = attributed
save("parameters.bin", parameters, parameters)
big = torch.arange(24.0)
views = {"tail": big[12:].reshape(3, 4), "row": big.reshape(4, 6)[2], "one": big.reshape(4, 6)[:, 1:2][1:2]}
save("views.bin", views, views)

# Wrapped, as training scripts save it.
save("wrapped.bin", {"epoch": 3, "state_dict": {"a": f32}, "optimizer": {"lr": 0.5, "state": {0: {"step": torch.tensor(1.0)}}}}, {"a": f32})

# Sharded, with an index.
save("pytorch_model-00001-of-00002.bin", {"a": f32, "b": f32.half()}, {"a": f32, "b": f32.half()})
save("pytorch_model-00002-of-00002.bin", {"c": f32.double()}, {"c": f32.double()})
with open("pytorch_model.bin.index.json", "w") as out:
    json.dump({"metadata": {"total_size": 84}, "weight_map": {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00001-of-00002.bin",
                                                             "c": "pytorch_model-00002-of-00002.bin"}}, out, indent=1)
    out.write("\n")

# No checksums: a switch that large checkpoints are saved with.
torch.serialization.set_crc32_options(False)
save("no_crc.bin", {"a": f32}, {"a": f32})
torch.serialization.set_crc32_options(True)

# To be refused.
save("legacy.bin", {"a": f32}, None, _use_new_zipfile_serialization=False)
save("transposed.bin", {"a": f32, "t": f32.t()}, None)
save("sparse.bin", {"a": f32.to_sparse()}, None)
save("quantized.bin", {"a": torch.quantize_per_tensor(f32, 0.1, 0, torch.qint8)}, None)
save("module.bin", Model(), None)
save("conjugate.bin", {"a": torch.ones(2, dtype=torch.complex64).conj()}, None)
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), "script.pt")
expected["script.pt"] = None

with open("expected.json", "w") as out:
    lines = ["%s: %s" % (json.dumps(name), json.dumps(value)) for name, value in expected.items()]
    out.write("{\n" + ",\n".join(lines) + "\n}\n")
print(sum(os.path.getsize(name) for name in os.listdir(".")), "bytes")
