"""transformers loads what `--format hf` writes, plain and in shards, and computes what it computed from the source. Needs torch and transformers.

    FLAGRELEASE          the program            (default: build/release/flagrelease)
    FLAGRELEASE_FIXTURE  its maker of fixtures  (default: build/release/tests/support/flagrelease-fixture)
"""
import os
import shutil
import subprocess
import tempfile
import unittest

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

SOURCE = os.environ.get("FLAGRELEASE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get("FLAGRELEASE") or os.path.join(SOURCE, "build/release/flagrelease"))
FIXTURE_TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_FIXTURE") or os.path.join(SOURCE, "build/release/tests/support/flagrelease-fixture"))
FIXTURES = os.path.join(SOURCE, "tests/fixtures/models")
EXAMPLE = os.path.join(SOURCE, "examples/models/kjv-qwen3-5m")

#: What rounding the weights of these models costs at most, by the scheme: recipes/gates/default.yaml, measured at 3 layers.
BOUNDS = {"source": 1e-9, "fp32": 1e-9, "fp16": 2e-4, "bf16": 2e-2}
#: Quantised fixtures that go through as they are, and how far transformers is from their numbers at most: nothing where activations stay floats;
#: 8 bits, integers or FP8, where its kernels round them.
QUANTISED = {"quant-ct-w4a16-packed-g32-llama": 1e-9, "quant-ct-w8a16-packed-llama": 1e-9, "quant-ct-w8a8-int8-llama": 1e-3,
             "quant-ct-w8a8-int8-asym-llama": 1e-3, "quant-ct-fp8-dynamic-llama": 1e-2, "quant-ct-fp8-tensor-llama": 1e-2,
             "quant-fp8-block128-qwen3": 2e-2}
#: Those that the chip recipe says transformers does not load: by the name that the error has.
REFUSED = {"awq-int4-g32-llama": "awq", "bnb-fp4-llama": "bitsandbytes", "bnb-int8-llama": "bitsandbytes", "bnb-nf4-llama": "bitsandbytes",
           "bnb-nf4-nested-llama": "bitsandbytes", "ct-nvfp4-llama": "compressed-tensors-nvfp4", "ct-w3a16-packed-g32-llama": "compressed-tensors-w3a16",
           "fp8-tensor-llama": "fp8-tensor", "gptq-int2-g32-llama": "gptq", "gptq-int3-g32-llama": "gptq", "gptq-int4-g32-desc-act-qwen3": "gptq",
           "gptq-int4-v2-desc-act-llama": "gptq", "gptq-int8-perchannel-llama": "gptq", "modelopt-fp8-llama": "modelopt",
           "modelopt-nvfp4-llama": "modelopt"}


def nmse(measured, expected):
    return float(((measured.double() - expected.double()) ** 2).sum() / (expected.double() ** 2).sum())


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flagrelease-hf-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        torch.set_num_threads(2)

    def migrate(self, source, name, *words):
        out = os.path.join(self.folder, name)
        subprocess.run([PROGRAM, "migrate", source, "--chip", "x86-64", "--format", "hf", "--device", "none", "--out", out, "--quiet", *words],
                       check=True, stdout=subprocess.DEVNULL)
        return os.path.join(out, "model")

    def quantised(self, name):
        source = os.path.join(self.folder, name)
        subprocess.run([FIXTURE_TOOL, os.path.join(FIXTURES, name), source], check=True, stdout=subprocess.DEVNULL)
        return source, load_file(os.path.join(FIXTURES, name, "golden.safetensors"))

    def load(self, folder, dtype=torch.float32):
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = transformers.AutoModelForSequenceClassification if "SequenceClassification" in config.architectures[0] else transformers.AutoModelForCausalLM
        model, info = kind.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
        # Scales of activations are unexpected where they are found while the model runs.
        unexpected = [key for key in info["unexpected_keys"] if not key.endswith(".input_scale")]
        self.assertFalse(info["missing_keys"] or unexpected or info["mismatched_keys"], info)
        return model.eval()

    def logits(self, model, golden):
        inputs = {name: golden[name] for name in ("input_ids", "attention_mask") if name in golden}
        with torch.no_grad():
            return model(**inputs, use_cache=False).logits

    def test_fixtures(self):
        for name in ("llama-llama-7b", "llama-llama-3.1-8b", "llama-attention-bias", "mistral-stored-fp16", "qwen2-qwen2.5-0.5b", "qwen2-stored-fp32",
                     "qwen3-qwen3-0.6b", "qwen3-sequence-classification", "mistral-sequence-classification"):
            source = os.path.join(self.folder, name)
            subprocess.run([FIXTURE_TOOL, os.path.join(FIXTURES, name), source, "--shards", "2"], check=True, stdout=subprocess.DEVNULL)
            golden = load_file(os.path.join(FIXTURES, name, "golden.safetensors"))
            for scheme in BOUNDS:
                for i, size in enumerate(((), ("--shard-size", "50k"), ("--shard-size", "1GB"))):
                    with self.subTest(name, scheme=scheme, size=size):
                        out = self.migrate(source, "%s-%s-%d" % (name, scheme, i), "--scheme", scheme, *size)
                        self.assertLessEqual(nmse(self.logits(self.load(out), golden), golden["logits"]), BOUNDS[scheme])

    def test_quantised_as_they_are(self):
        for name, bound in QUANTISED.items():
            with self.subTest(name):
                source, golden = self.quantised(name)
                out = self.migrate(source, name + "-out")
                before, after = load_file(os.path.join(source, "model.safetensors")), load_file(os.path.join(out, "model.safetensors"))
                self.assertEqual(set(after), set(before))
                for key, tensor in before.items():
                    self.assertTrue(torch.equal(after[key].view(torch.uint8), tensor.view(torch.uint8)) if tensor.dim() else after[key] == tensor, key)
                apart = nmse(self.logits(self.load(out, "auto" if "fp8-block" in name else torch.float32), golden), golden["logits"])
                print("transformers %s as it is: nmse %.2e" % (name, apart))
                self.assertLessEqual(apart, bound)
        for name, layout in REFUSED.items():
            with self.subTest(name):
                source, _ = self.quantised("quant-" + name)
                done = subprocess.run([PROGRAM, "migrate", source, "--chip", "x86-64", "--format", "hf", "--device", "none", "--out", source + "-out"],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("does not load " + layout + "\n", done.stderr)

    def test_quantised_as_numbers(self):
        """Every way of storing, as plain numbers: transformers then computes what the published formulas say."""
        names = sorted(name for name in os.listdir(FIXTURES) if name.startswith("quant-"))
        self.assertGreater(len(names), 25)
        for name in names:
            source, golden = self.quantised(name)
            for scheme in ("fp32", "bf16"):
                with self.subTest(name, scheme=scheme):
                    out = self.migrate(source, "%s-%s" % (name, scheme), "--scheme", scheme)
                    self.assertLessEqual(nmse(self.logits(self.load(out), golden), golden["logits"]), BOUNDS[scheme])

    def test_dtype_of_the_config(self):
        """Without being told, transformers takes the type that the weights have now."""
        for scheme, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
            out = self.migrate(EXAMPLE, scheme, "--scheme", scheme, "--shard-size", "3MB")
            self.assertEqual(self.load(out, "auto").dtype, dtype)

    def test_example(self):
        """The example model: numbers and ids of the golden file, and the tokenizer that goes along."""
        golden = load_file(os.path.join(EXAMPLE + ".golden", "golden.safetensors"))
        for scheme, bound in (("source", 1e-9), ("fp32", 1e-9)):
            out = self.migrate(EXAMPLE, scheme, "--scheme", scheme, "--shard-size", "3MB")
            model, tokenizer = self.load(out), transformers.AutoTokenizer.from_pretrained(out)
            self.assertLessEqual(nmse(self.logits(model, golden), golden["logits"]), bound)
            text = "In the beginning"
            self.assertEqual(tokenizer(text).input_ids, transformers.AutoTokenizer.from_pretrained(EXAMPLE)(text).input_ids)

    def test_the_library_reads_the_files(self):
        """safetensors itself: names, types and values, through its own header checks."""
        before = load_file(os.path.join(EXAMPLE, "model.safetensors"))
        out, found = self.migrate(EXAMPLE, "out", "--scheme", "fp16", "--shard-size", "2MB"), {}
        for name in sorted(os.listdir(out)):
            if name.endswith(".safetensors"):
                with safe_open(os.path.join(out, name), "pt") as file:
                    self.assertEqual(file.metadata(), {"format": "pt"})
                    found.update({key: file.get_tensor(key) for key in file.keys()})
        self.assertEqual(set(found), set(before))
        for name, tensor in before.items():
            self.assertTrue(torch.equal(found[name], tensor.to(torch.float16)), name)


if __name__ == "__main__":
    unittest.main()
