"""Reads and writes tiny checkpoints whose weights are a rule instead of bytes (tests/fixtures/FORMAT.md). numpy only."""
import json
import shutil
from pathlib import Path

import numpy as np

NOT_CARRIED = {"tensors.json", "golden.json", "golden-padded.json"}
INTEGERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "u1"}
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def stream(name, count):
    """splitmix64, seeded with the FNV-1a digest of the tensor's name: `count` values of 64 bits."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ z >> np.uint64(shift)) * np.uint64(factor)
    return z ^ z >> np.uint64(31)


def rounded(values, dtype):
    """float64 -> the bytes of `dtype`, rounded once, ties to even."""
    values = np.ascontiguousarray(values, np.float64)
    if dtype in FLOATS:
        return values.astype(FLOATS[dtype]).tobytes()
    assert dtype == "BF16", dtype
    bits = values.view(np.uint64)
    below = np.uint64(52 - 7)  # bits of a double's fraction that bfloat16 has not
    bits = bits + (np.uint64(2**44 - 1) + (bits >> below & np.uint64(1))) >> below << below
    return (bits.view(np.float64).astype(np.float32).view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()


def tensor_bytes(entry):
    """The content of one entry of tensors.json."""
    dtype, count = entry["dtype"], int(np.prod(entry["shape"], dtype=np.int64))
    if "values" in entry:
        listed = np.asarray(entry["values"]).reshape(count)
        if dtype in FLOATS or dtype == "BF16":
            return rounded(listed, dtype)
        return listed.astype(INTEGERS.get(dtype, "u1")).tobytes()
    z = stream(entry["name"], count)
    if "lo" in entry:
        drawn = entry["lo"] + (z >> np.uint64(40)).astype(np.int64) % (entry["hi"] - entry["lo"] + 1)
        return drawn.astype(INTEGERS.get(dtype, "u1")).tobytes()
    if "offset" in entry:
        unit = (z >> np.uint64(40)).astype(np.float64) * 2.0**-24
        return rounded(entry["offset"] + entry["scale"] * (2.0 * unit - 1.0), dtype)
    if dtype == "I32":
        return z.astype(np.uint32).tobytes()
    low = z.astype(np.uint8)
    if dtype == "F8_E4M3":
        low ^= ((low & 0x7F) == 0x7F).astype(np.uint8)  # no NaN
    return low.tobytes()


def write_safetensors(path, tensors):
    """tensors: [(name, dtype, shape, bytes)], written in this order."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + len(content)]}
        end += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            out.write(tensor[3])


def materialise(fixture, folder):
    """Writes the checkpoint that a fixture describes, one file per file of tensors.json."""
    fixture, folder = Path(fixture), Path(folder)
    for source in sorted(fixture.rglob("*.json")):
        if source.name not in NOT_CARRIED:
            target = folder / source.relative_to(fixture)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    spec = json.loads((fixture / "tensors.json").read_text())
    assert spec["generator"] == "splitmix64-v1", spec["generator"]
    for name, entries in spec["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(folder / name, [(e["name"], e["dtype"], e["shape"], tensor_bytes(e)) for e in entries])


def write_spec(path, files):
    """tensors.json: {file: [entry]}, one entry a line."""
    parts = []
    for name, entries in files.items():
        lines = ",\n  ".join(json.dumps(e, separators=(",", ":")) for e in entries)
        parts.append(f"{json.dumps(name)}:[\n  {lines}]")
    Path(path).write_text('{"generator":"splitmix64-v1","files":{' + ",\n ".join(parts) + "}}\n")
