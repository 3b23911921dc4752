#!/usr/bin/env python3
"""Developer tool: makes fixtures of quantised checkpoints (tests/fixtures/FORMAT.md), from "quantised" of tests/fixtures/variants.json.

    make_quant_fixture.py NAME... | --all

An entry is NAME: {"base": the fixture whose config.json is taken, "layout": one of LAYOUTS, its options, "quantization_config": {..},
"files": {another json file: its content}, "source": hub id of a model that is stored so, "notes": text}. Every *_proj.weight is stored in
the layout, what remains as BF16. The expected outputs are those of transformers, in float32, on weights that other software dequantised:
compressed-tensors and bitsandbytes with their own code; the other layouts by the published formula, written in numpy here with bits as an
array, not as the importer does it. Needs torch, transformers, safetensors, numpy, compressed-tensors, bitsandbytes.
"""
import argparse
import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import fixture_format
import golden
import make_fixture
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
TORCH = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8, "U8": torch.uint8, "I32": torch.int32,
         "I64": torch.int64, "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.uint8}


def held(entry):
    """What an entry of tensors.json holds, as a tensor; E8M0 as bytes."""
    raw = bytearray(fixture_format.tensor_bytes(entry))
    return torch.frombuffer(raw, dtype=TORCH[entry["dtype"]]).reshape(entry["shape"]).clone()


def integers_of(stream, bits, count):
    """[rows, words] of int32 -> [rows, count]: consecutive integers of `bits` bits, lowest bit first."""
    flat = np.unpackbits(np.ascontiguousarray(stream.astype("<i4")).view(np.uint8), axis=1, bitorder="little")[:, : count * bits]
    return (flat.reshape(len(stream), count, bits) << np.arange(bits)).sum(2).astype(np.int64)


def words_of(integers, bits):
    """The inverse: the rows of `integers` as int32 words."""
    flat = (integers[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(integers), -1)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
    return np.packbits(flat, axis=1, bitorder="little").view("<i4")


def near_middle(name, shape, middle, spread):
    """Integers middle - spread to middle + spread."""
    return (middle - spread + (fixture_format.stream(name, int(np.prod(shape))) >> np.uint64(40)).astype(np.int64) % (2 * spread + 1)).reshape(shape)


def listed(name, dtype, values):
    values = np.asarray(values)
    return {"name": name, "dtype": dtype, "shape": list(values.shape), "values": values.reshape(-1).tolist()}


def spread(name, dtype, shape, middle, part=0.5):
    """Floats around `middle`."""
    return {"name": name, "dtype": dtype, "shape": list(shape), "offset": float(f"{middle:.6g}"), "scale": float(f"{middle * part:.6g}")}


class Layout:
    """parts(): the entries of one weight [n, k] at `base`, whose numbers shall have the deviation `deviation`.
    weight(): the float32 weight of those parts, {suffix: tensor}."""

    def __init__(self, options):
        self.options = options
        self.o = options.get


class Gptq(Layout):
    def parts(self, base, n, k, deviation):
        bits, group, v2 = self.o("bits"), self.o("group"), self.o("v2", False)
        group = k if group == -1 else group
        zero = near_middle(base + ".zero", (k // group, n), 2 ** (bits - 1), max(1, 2 ** (bits - 3)))
        yield {"name": base + ".qweight", "dtype": "I32", "shape": [k * bits // 32, n]}
        yield listed(base + ".qzeros", "I32", words_of((zero - (0 if v2 else 1)) % 2**bits, bits))
        yield spread(base + ".scales", "F16", (k // group, n), self.o("gain", 1.0) * deviation / ((4**bits - 1) / 12) ** 0.5)
        if self.o("desc_act"):
            yield listed(base + ".g_idx", "I32", np.argsort(fixture_format.stream(base + ".g_idx", k)) // group)
        elif self.o("g_idx"):
            yield listed(base + ".g_idx", "I32", np.arange(k) // group)

    def weight(self, parts, n, k):
        bits, scales = self.o("bits"), parts["scales"].float().numpy()
        codes = integers_of(parts["qweight"].numpy().T, bits, k).T
        zeros = integers_of(parts["qzeros"].numpy(), bits, n)
        zeros = zeros if self.o("v2") else (zeros + 1) % 2**bits
        group = np.arange(k) // (k // len(scales)) if "g_idx" not in parts else parts["g_idx"].numpy()
        return torch.tensor(((codes - zeros[group]).astype(np.float32) * scales[group]).T.copy())


class CompressedTensors(Layout):
    """`scheme`: QuantizationArgs of the weights."""

    def args(self):
        from compressed_tensors.quantization import QuantizationArgs
        return QuantizationArgs(**{k: v for k, v in self.o("scheme").items() if k != "actorder"})

    def scale_shape(self, n, k):
        strategy = self.o("scheme")["strategy"]
        if strategy == "block":
            rows, columns = self.o("scheme")["block_structure"]
            return [-(-n // rows), -(-k // columns)]
        return {"tensor": [1], "channel": [n, 1]}.get(strategy) or [n, k // self.o("scheme")["group_size"]]

    def parts(self, base, n, k, deviation):
        scheme, shape = self.o("scheme"), self.scale_shape(n, k)
        bits, middle = scheme["num_bits"], 0
        if self.o("packed"):
            codes = {"name": base + ".weight_packed", "dtype": "I32", "shape": [n, -(-k * bits // 32)]}
            yield codes
            yield listed(base + ".weight_shape", "I64", [n, k])
            unit = ((4**bits - 1) / 12) ** 0.5
        else:
            codes = {"name": base + ".weight", "dtype": "I8" if scheme["type"] == "int" else "F8_E4M3", "shape": [n, k]}
            yield codes
            unit = float(held(codes).float().std())
        yield spread(base + ".weight_scale", self.o("scale_type", "BF16"), shape, deviation / unit)
        if not scheme["symmetric"]:
            zero = near_middle(base + ".zero", shape, middle, 2 ** (bits - 3))
            yield (listed(base + ".weight_zero_point", "I32", words_of((zero + 2 ** (bits - 1)).T, bits).T) if self.o("packed")
                   else listed(base + ".weight_zero_point", "I8", zero))
        if scheme.get("actorder") == "group":
            yield listed(base + ".weight_g_idx", "I32", np.argsort(fixture_format.stream(base + ".g_idx", k)) // scheme["group_size"])
        if self.o("static"):
            yield spread(base + ".input_scale", "BF16", [1], 0.02)

    def weight(self, parts, n, k):
        from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
        from compressed_tensors.quantization.lifecycle.forward import dequantize
        scale, zero, bits = parts["weight_scale"].float(), parts.get("weight_zero_point"), self.o("scheme")["num_bits"]
        if not self.o("packed"):
            codes = parts["weight"]
        else:
            codes = unpack_from_int32(parts["weight_packed"], bits, torch.Size((n, k)))
            if zero is not None:
                zero = unpack_from_int32(zero, bits, torch.Size((n, scale.shape[1])), packed_dim=0)
        if "weight_g_idx" in parts:  # the library reads it no more: features by group, dequantised, and back
            order = torch.argsort(parts["weight_g_idx"], stable=True)
            sorted_weight = dequantize(codes[:, order], scale, zero, self.args())
            return sorted_weight[:, torch.argsort(order)].contiguous()
        return dequantize(codes, scale, zero, self.args()).contiguous()


class PackedFp4(CompressedTensors):
    """nvfp4 (E4M3 scales per 16 and a global one) and mxfp4 (E8M0 per 32)."""

    def parts(self, base, n, k, deviation):
        group, unit = self.o("scheme")["group_size"], float(E2M1.std())
        yield {"name": base + ".weight_packed", "dtype": "U8", "shape": [n, k // 2]}
        if group == 16:
            scale = {"name": base + ".weight_scale", "dtype": "F8_E4M3", "shape": [n, k // 16], "lo": 96, "hi": 126}
            yield scale
            yield spread(base + ".weight_global_scale", "F32", [1], unit * float(held(scale).float().mean()) / deviation, 0.3)
            if self.o("static"):
                yield spread(base + ".input_global_scale", "F32", [1], 300.0)
        else:
            exponent = 127 + round(float(np.log2(deviation / unit)))
            yield {"name": base + ".weight_scale", "dtype": "U8", "shape": [n, k // 32], "lo": exponent - 2, "hi": exponent + 1}

    def weight(self, parts, n, k):
        from compressed_tensors.compressors.mx_utils import decompress_mx_scale
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        from compressed_tensors.quantization.lifecycle.forward import dequantize
        codes, scale = unpack_fp4_from_uint8(parts["weight_packed"], n, k, torch.float32), parts["weight_scale"]
        scale = decompress_mx_scale(scale).float() if scale.dtype == torch.uint8 else scale.float()
        return dequantize(codes, scale, args=self.args(), dtype=torch.float32, global_scale=parts.get("weight_global_scale")).contiguous()


class Fp8(Layout):
    """`block`: sizes, with scales of the types in `scale_types` in turn; without it one scale for the tensor."""

    def parts(self, base, n, k, deviation):
        codes = {"name": base + ".weight", "dtype": "F8_E4M3", "shape": [n, k]}
        yield codes
        scale = deviation / float(held(codes).float().std())
        if "block" not in self.options:
            yield spread(base + ".weight_scale", "F32", [], scale)
            yield spread(base + ".input_scale", "F32", [], 0.02)
            return
        shape = [-(-n // self.o("block")[0]), -(-k // self.o("block")[1])]
        kind, exponent = self.o("scale_types")[int(base.split("layers.")[1][0])], 127 + round(float(np.log2(scale)))
        yield {"name": base + ".weight_scale_inv", "dtype": kind, "shape": shape, "lo": exponent - 1, "hi": exponent + 1}

    def weight(self, parts, n, k):
        if "weight_scale" in parts:
            return parts["weight"].float() * parts["weight_scale"]
        scale = 2.0 ** (parts["weight_scale_inv"].double() - 127)
        rows, columns = self.o("block")
        return (parts["weight"].double() * scale.repeat_interleave(rows, 0)[:n].repeat_interleave(columns, 1)[:, :k]).float()


class BitsAndBytes(Layout):
    """`kind`: nf4 or fp4; `nested`: absmax quantised too. Only weights that match `only` are stored so."""

    def parts(self, base, n, k, deviation):
        import bitsandbytes.functional as bnb
        _, state = bnb.quantize_4bit(torch.ones(64), quant_type=self.o("kind"), blocksize=64)
        about = {"quant_type": self.o("kind"), "blocksize": 64, "dtype": "bfloat16", "shape": [n, k]}
        base, blocks, absmax = base + ".weight", n * k // 64, deviation / float(state.code.std())
        yield {"name": base, "dtype": "U8", "shape": [n * k // 2, 1]}
        if self.o("nested"):
            yield {"name": base + ".absmax", "dtype": "U8", "shape": [blocks], "lo": 30, "hi": 225}
            yield spread(base + ".nested_absmax", "F32", [-(-blocks // 256)], absmax, 0.3)
            table = bnb.create_dynamic_map(signed=True).float().numpy()
            yield listed(base + ".nested_quant_map", "F32", np.array([float(str(v)) for v in table]))
            about |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(f"{absmax:.6g}")}
        else:
            yield spread(base + ".absmax", "F32", [blocks], absmax, 0.4)
        yield listed(base + ".quant_map", "F32", np.array([float(str(v)) for v in state.code.numpy()]))
        yield listed(f"{base}.quant_state.bitsandbytes__{self.o('kind')}", "U8", list(json.dumps(about).encode()))

    def weight(self, parts, n, k):
        import bitsandbytes.functional as bnb
        from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
        parts = {name.removeprefix("weight").removeprefix("."): value for name, value in parts.items()}
        state = bnb.QuantState.from_dict({name: value for name, value in parts.items() if name}, device=torch.device("cpu"))
        absmax = state.absmax
        if state.nested:
            absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
        # Its generic code: the one for x86 is wrong in 0.50.2 where blocks cross rows (quantised there and back, numbers are off by
        # more than a step).
        return _dequantize_4bit_compute(parts[""].reshape(-1), absmax, state.code, state.blocksize, (n, k), torch.float32)


LAYOUTS = {"gptq": Gptq, "compressed-tensors": CompressedTensors, "fp4": PackedFp4, "fp8": Fp8, "bitsandbytes": BitsAndBytes}


def neutral(entry, value):
    """The part without what is its own."""
    if entry["name"].endswith("g_idx"):
        return torch.sort(value).values
    if "lo" in entry:  # scales: all alike, and smaller
        return torch.full_like(value.view(torch.uint8), entry["lo"] - 1).view(value.dtype)
    if "values" in entry:
        return value.reshape(-1)[:1].repeat(value.numel()).reshape(value.shape)
    return torch.full_like(value.float(), entry.get("offset", 0.0) * (1.0 if value.numel() > 1 else 0.5)).to(value.dtype)


SILENT = ("input_scale", "input_global_scale", "weight_shape", "quant_map", "bitsandbytes__nf4", "bitsandbytes__fp4")


def make(name, variant):
    base = make_fixture.FIXTURES / "models" / variant["base"]
    dense_config = make_fixture.merged(json.loads((base / "config.json").read_text()), {"quantization_config": None, **variant.get("config", {})})
    layout = LAYOUTS[variant["layout"]](variant)
    with tempfile.TemporaryDirectory() as folder:
        fixture, checkpoint, dense = Path(folder, "fixture"), Path(folder, "checkpoint"), Path(folder, "dense")
        fixture.mkdir()
        dense.mkdir()
        (dense / "config.json").write_text(json.dumps(dense_config | {"torch_dtype": "float32"}))
        stored_config = dense_config | ({"quantization_config": variant["quantization_config"]} if "quantization_config" in variant else {})
        (fixture / "config.json").write_text(json.dumps(stored_config, indent=2) + "\n")
        for file, content in variant.get("files", {}).items():
            (fixture / file).write_text(json.dumps(content, indent=2) + "\n")
        parsed = AutoConfig.from_pretrained(dense)

        entries, weights, made = [], {}, {}
        for e in make_fixture.spec(parsed, "causal_lm", "BF16"):
            if e["name"].endswith("_proj.weight") and variant.get("only", "") in e["name"]:
                where, (n, k) = e["name"].removesuffix(".weight"), e["shape"]
                parts = list(layout.parts(where, n, k, e["scale"] / 3**0.5))
                entries += parts
                made[e["name"]] = (where, parts, n, k)
                weights[e["name"]] = layout.weight({p["name"].removeprefix(where + "."): held(p) for p in parts}, n, k)
            else:
                entries.append(e)
                weights[e["name"]] = held(e).float()
        entries.sort(key=lambda e: e["name"])
        save_file(weights, dense / "model.safetensors", metadata={"format": "pt"})
        fixture_format.write_spec(fixture / "tensors.json", {"model.safetensors": entries})
        fixture_format.materialise(fixture, checkpoint)
        model = golden.load(dense, "causal_lm")

        candidates = []
        for seed in range(1, 9):
            inputs = make_fixture.draw(parsed, "causal_lm", seed)
            ids, logits = golden.greedy(model, inputs["input_ids"][:1], make_fixture.STEPS)
            candidates.append((golden.margin(logits), seed, ids))
        least, seed, ids = max(candidates, key=lambda c: c[0])
        inputs = make_fixture.draw(parsed, "causal_lm", seed)
        outputs = golden.run(model, inputs)

        found, parameters = [], dict(model.named_parameters())
        for weight, (where, parts, n, k) in made.items():
            values = {p["name"].removeprefix(where + "."): held(p) for p in parts}
            kept = parameters[weight].data.clone()
            for p in parts:
                if p["name"].endswith(SILENT) or (p["name"].endswith("g_idx") and not (layout.o("desc_act") or "scheme" in variant)):
                    continue
                changed = values | {p["name"].removeprefix(where + "."): neutral(p, held(p))}
                parameters[weight].data.copy_(layout.weight(copy.copy(changed), n, k))
                moved = golden.run(model, inputs)["logits"]
                found.append((float((moved - outputs["logits"]).abs().max() / outputs["logits"].abs().max()), p["name"]))
                parameters[weight].data.copy_(kept)
        weakest = [[tensor, float(f"{value:.3g}")] for value, tensor in sorted(found)]

        kept_outputs = {k: v for k, v in outputs.items() if k == "logits" or k == f"hidden.{parsed.num_hidden_layers}"}
        about = {"source": variant["source"], "architecture": dense_config["architectures"][0], "reference_class": type(model).__name__,
                 "model_type": parsed.model_type, **golden.versions(), "task": "text-generation", "inputs": list(inputs),
                 "outputs": ["logits"] + [k for k in kept_outputs if k != "logits"]}
        with golden.float64(model) as exact:
            noise = golden.noise(outputs, golden.run(exact, inputs))
        about["noise"] = {k: float(f"{noise[k]:.3g}") for k in about["outputs"]}
        about |= {"greedy": ids[0].tolist(), "min_margin": float(f"{least:.6g}"), "seed": seed,
                  "ignored_tensors": [e["name"] for e in entries if e["name"].endswith(SILENT[:2])], "invisible_tensors": [],
                  "weakest": weakest[:3], "logits_std": float(f"{outputs['logits'].std():.3g}"), "notes": variant["notes"]}
        if weakest[0][1] < make_fixture.LEAST_VISIBLE:
            sys.exit(f"{name}: {weakest[0][0]} is invisible ({weakest[0][1]})")
        if least < make_fixture.LEAST_MARGIN:
            sys.exit(f"{name}: greedy decoding comes within {least} of a tie with every seed")
        save_file({k: v.clone() for k, v in {**inputs, **kept_outputs}.items()}, fixture / "golden.safetensors")
        (fixture / "golden.json").write_text(json.dumps(about, indent=1) + "\n")
        target = make_fixture.FIXTURES / "models" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(fixture, target)
        make_fixture.note_checksum(name, checkpoint)
    print(f"{name}: weakest {weakest[0]} noise {about['noise']['logits']} margin {least:.4f} std {about['logits_std']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    variants = json.loads((make_fixture.FIXTURES / "variants.json").read_text())["quantised"]
    torch.set_num_threads(1)
    for name in args.names or (variants if args.all else parser.error("name a fixture, or --all")):
        make(name, variants[name])


if __name__ == "__main__":
    main()
