"""Weights as small numbers, command by command: what the files hold, unpacked here by the published layouts; what is refused, and what falls back."""
import json
import os
import struct

import support
from support import Case, read, read_safetensors, run

EXAMPLE = os.path.join(support.SOURCE, "examples/models/kjv-qwen3-5m")
A100 = ("--chip", "nvidia-a100", "--format", "hf", "--device", "none")
HF = ("--chip", "x86-64", "--format", "hf", "--device", "none")
LAYER = "model.layers.3.mlp.down_proj"
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def tensors_of(folder):
    """name -> (dtype, shape, bytes)."""
    found = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        header, data = read_safetensors(os.path.join(folder, file))
        for name, entry in header.items():
            if name != "__metadata__":
                found[name] = entry["dtype"], entry["shape"], data[entry["data_offsets"][0]:entry["data_offsets"][1]]
    return found


def numbers(tensor):
    """All numbers of a tensor, row by row."""
    dtype, _, data = tensor
    if dtype == "BF16":
        return struct.unpack("<%df" % (len(data) // 2), b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2)))
    code = {"F32": "f", "F16": "e", "I32": "I", "I64": "q", "I8": "b", "U8": "B"}[dtype]
    return struct.unpack("<%d%s" % (len(data) // struct.calcsize("<" + code), code), data)


def single(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Schemes(Case):
    def setUp(self):
        super().setUp()
        self.out, self.model = self.path("out"), self.path("out/model")

    def migrate(self, source, *words, code=0, says=(), timeout=120):
        return self.expect(run("migrate", source, "--out", self.out, *words, timeout=timeout), code, *says)

    def config(self):
        return json.loads(read(os.path.join(self.model, "config.json")))["quantization_config"]

    def read_back(self, scheme="fp32"):
        """What our own readers make of the folder."""
        self.expect(run("migrate", self.model, *HF, "--scheme", scheme, "--out", self.path("back")), 0)
        return tensors_of(self.path("back/model"))

    def test_gptq(self):
        """Codes along the inputs, zeros less one, groups in order; (q - zero) * scale by hand, by our reader, and near the source."""
        self.migrate(EXAMPLE, *A100, "--scheme", "w4a16-g128-gptq")
        config = self.config()
        self.assertEqual({key: config[key] for key in ("quant_method", "bits", "group_size", "desc_act", "sym", "checkpoint_format")},
                         {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True, "checkpoint_format": "gptq"})
        made, source, back = tensors_of(self.model), tensors_of(EXAMPLE), self.read_back()
        self.assertNotIn(LAYER + ".weight", made)
        rows, width = source[LAYER + ".weight"][1]
        groups = width // 128
        expected = {"qweight": ("I32", [width // 8, rows]), "qzeros": ("I32", [groups, rows // 8]), "scales": ("F16", [groups, rows]), "g_idx": ("I32", [width])}
        for part, form in expected.items():
            self.assertEqual(made[LAYER + "." + part][:2], form, part)
        qweight, qzeros, scales, index = (numbers(made[LAYER + "." + part]) for part in ("qweight", "qzeros", "scales", "g_idx"))
        self.assertEqual(list(index), [k // 128 for k in range(width)])
        ours, weights = numbers(back[LAYER + ".weight"]), numbers(source[LAYER + ".weight"])
        for n in range(0, rows, 7):
            for k in range(width):
                code = qweight[k // 8 * rows + n] >> 4 * (k % 8) & 15
                zero = (qzeros[index[k] * (rows // 8) + n // 8] >> 4 * (n % 8) & 15) + 1
                scale = scales[index[k] * rows + n]
                value = single((code - zero) * scale)
                self.assertEqual(value, ours[n * width + k], (n, k))
                # To the nearest of -8 .. 7, in units of the scale; only what is beyond 7 is further off.
                steps = weights[n * width + k] / scale if scale else 0
                self.assertTrue(abs(steps - (code - zero)) <= 0.505 or (code == 15 and steps > 7), (n, k, steps, code))
        self.expect(run("validate", self.out, "--against", EXAMPLE, "--validate", "bytes"), 0)

    def test_mxfp4(self):
        """Two E2M1 in a byte, the first one low, and bytes of E8M0."""
        self.migrate(EXAMPLE, *HF, "--scheme", "mxfp4")
        config = self.config()
        weights = config["config_groups"]["group_0"]["weights"]
        self.assertEqual((config["format"], weights["num_bits"], weights["type"], weights["group_size"]), ("mxfp4-pack-quantized", 4, "float", 32))
        made, source, back = tensors_of(self.model), tensors_of(EXAMPLE), self.read_back()
        rows, width = source[LAYER + ".weight"][1]
        self.assertEqual(made[LAYER + ".weight_packed"][:2], ("U8", [rows, width // 2]))
        self.assertEqual(made[LAYER + ".weight_scale"][:2], ("U8", [rows, width // 32]))
        packed, scales = numbers(made[LAYER + ".weight_packed"]), numbers(made[LAYER + ".weight_scale"])
        ours, original = numbers(back[LAYER + ".weight"]), numbers(source[LAYER + ".weight"])
        for at in range(0, rows * width, 3):
            code = packed[at // 2] >> 4 * (at % 2) & 15
            scale = 2.0 ** (scales[at // 32] - 127)
            value = (-1 if code & 8 else 1) * E2M1[code & 7] * scale
            self.assertEqual(value, ours[at], at)
            # To the nearest: half of the gap, which is at most 2, but for the largest, which may be up to 8.
            self.assertLessEqual(abs(value - original[at]), (2.0 if abs(original[at]) > 6 * scale else 1.0) * scale, at)
        self.expect(run("validate", self.out, "--against", EXAMPLE, "--validate", "bytes"), 0)

    def test_zeros_of_four_bits(self):
        """Zeros packed along the outputs, as compressed-tensors and vLLM have them; each with the offset 8 of the codes."""
        self.migrate(EXAMPLE, *HF, "--scheme", "w4a16-g32-asym")
        config = self.config()
        self.assertEqual((config["format"], config["config_groups"]["group_0"]["weights"]["symmetric"], config["dequantize"]), ("pack-quantized", False, True))
        made, source, back = tensors_of(self.model), tensors_of(EXAMPLE), self.read_back()
        rows, width = source[LAYER + ".weight"][1]
        groups = width // 32
        self.assertEqual(made[LAYER + ".weight_zero_point"][:2], ("I32", [rows // 8, groups]))
        packed, zeros, scales = (numbers(made[LAYER + ".weight" + part]) for part in ("_packed", "_zero_point", "_scale"))
        ours, original = numbers(back[LAYER + ".weight"]), numbers(source[LAYER + ".weight"])
        for n in range(0, rows, 5):
            for k in range(width):
                code = packed[n * (width // 8) + k // 8] >> 4 * (k % 8) & 15
                zero = zeros[n // 8 * groups + k // 32] >> 4 * (n % 8) & 15
                scale = scales[n * groups + k // 32]
                self.assertEqual(single((code - zero) * scale), ours[n * width + k], (n, k))
                self.assertLessEqual(abs((code - zero) * scale - original[n * width + k]), 1.01 * scale, (n, k))

    def test_activations_of_a_graph(self):
        """Format onnx: the graph rounds activations itself and multiplies integers, one product for each linear layer but the head."""
        plan = self.expect(run("plan", EXAMPLE, "--chip", "x86-64", "--format", "onnx", "--scheme", "w8a8", "--json"), 0).json()
        count = {operator["name"]: operator["count"] for operator in plan["operators"]}
        self.assertEqual(count["MatMulInteger"], 6 * 7)
        # Layers that read the same activations share their rounding: q, k, v and gate, up.
        self.assertEqual(count["Round"], 6 * 4)
        if support.runner_python() is None:
            return support.skip(self, "no Python with ONNX Runtime: run tools/install_deps")
        small = support.fixture("qwen3-qwen3-0.6b", self.path("small"))
        self.migrate(small, "--chip", "x86-64", "--format", "onnx", "--scheme", "w8a8", says=["ACCEPT on ort:cpu"])
        report = json.loads(read(self.path("out/report.json")))
        # The reference rounds alike: what is left is a number that falls to the other side now and then.
        self.assertLess(report["numerics"]["outputs"][0]["measured"]["nmse"], 1e-4)

    def test_a_quantised_source_as_it_is(self):
        """Every tensor goes through, and nothing that it stands for is added."""
        source = support.fixture("quant-ct-w8a8-int8-llama", self.path("source"))
        self.migrate(source, *HF)
        self.assertEqual(tensors_of(self.model), tensors_of(source))
        for name, layout in (("quant-modelopt-fp8-llama", "modelopt"), ("quant-fp8-tensor-llama", "fp8-tensor"), ("quant-ct-nvfp4-llama", "compressed-tensors-nvfp4")):
            other = support.fixture(name, self.path(name))
            self.expect(run("plan", other, "--chip", "x86-64", "--format", "hf"), 2, "transformers for x86-64 does not load " + layout)

    def test_fallbacks(self):
        """Each tensor that a scheme does not fit is an error, or named with what becomes of it."""
        source = support.fixture("llama-llama-7b", self.path("llama"))
        self.expect(run("plan", source, *HF[:4], "--scheme", "w4a16-g64"), 1, "model.layers.0.mlp.down_proj.weight", "no whole groups of 64", "--allow-type-fallback")
        allowed = ("--allow-type-fallback", "--scheme")
        plan = self.expect(run("plan", source, *HF[:4], *allowed, "w4a16-g64", "--json"), 0).json()
        self.assertEqual(plan["fallbacks"], [{"tensor": "model.layers.%d.mlp.down_proj.weight" % i,
                                              "reason": "its rows of 96 numbers are no whole groups of 64: stays as it is"} for i in range(2)])
        self.migrate(source, *HF, *allowed, "w4a16-g64", says=["down_proj.weight"])
        self.assertEqual(json.loads(read(self.path("out/report.json")))["lineage"]["fallbacks"], plan["fallbacks"])
        self.assertEqual(self.config()["ignore"], ["lm_head", "model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"])
        mixture = self.expect(run("plan", source, "--chip", "x86-64", "--format", "gguf", *allowed, "q4_k_m", "--json"), 0).json()
        self.assertIn("stored as q5_0", " ".join(entry["reason"] for entry in mixture["fallbacks"]))

    def test_tensors_that_a_gguf_file_has_no_place_for(self):
        """Each is named, unless the recipe says with a reason that files do without it."""
        source = support.fixture("qwen3-qwen3-0.6b", self.path("qwen3"))
        recipe = read(os.path.join(support.SOURCE, "recipes/models/qwen3.yaml")).decode()
        line = next(line for line in recipe.splitlines() if "attn_k_norm" in line)
        words = ("plan", source, "--chip", "x86-64", "--format", "gguf", "--recipes", self.path("more"))
        support.write(self.path("more/models/qwen3.yaml"), recipe.replace(line + "\n", "").encode())
        self.expect(run(*words), 1, *("model.layers.%d.self_attn.k_norm.weight: has no place in a GGUF file" % i for i in range(2)))
        support.write(self.path("more/models/qwen3.yaml"), recipe.replace(
            line, "  ignore: {\"model.layers.{i}.self_attn.k_norm.weight\": \"a test\"}").encode())
        self.expect(run(*words), 0, "format gguf")
        self.expect(run(*words[:-2]), 0, "format gguf")

    def test_a_device_of_another_format(self):
        for form, device, others in (("hf", "ort:cpu", "transformers:cpu, vllm:cpu"), ("gguf", "transformers:cpu", "llama.cpp:cpu"), ("onnx", "vllm:cpu", "ort:cpu")):
            self.expect(run("migrate", EXAMPLE, "--chip", "x86-64", "--format", form, "--device", device, "--out", self.out), 2,
                        "'%s' loads " % device, "the artefact is " + form, "for %s there is: %s" % (form, others))
        self.assertFalse(os.path.exists(self.out))
        self.migrate(EXAMPLE, *HF)
        self.expect(run("validate", self.out, "--against", EXAMPLE, "--device", "llama.cpp:cpu"), 2, "'llama.cpp:cpu' loads gguf, the artefact is hf")

    def test_the_first_file_of_a_split(self):
        """What a device loads of a GGUF in parts."""
        support.write(self.path("says.py"), b"""import fr_runner


class Says:
    def probe(self):
        return {"engine": "says", "engine_version": "1"}

    def load(self, path, outputs, threads):
        raise fr_runner.RunnerError("bad-model", "asked for " + path)


fr_runner.serve("says", Says)
""")
        support.write(self.path("devices.yaml"), b"devices:\n  - {name: says, chip: x86-64, exec: [/usr/bin/python3], runner: ./says.py}\n")
        self.migrate(EXAMPLE, "--chip", "x86-64", "--format", "gguf", "--device", "none", "--shard-size", "4MB")
        self.assertIn("model-00003-of-00003.gguf", os.listdir(self.model))
        self.expect(run("validate", self.out, "--against", EXAMPLE, "--device", "says", "--devices", self.path("devices.yaml")), 1,
                    "out/model/model-00001-of-00003.gguf")


if __name__ == "__main__":
    support.main()
