"""Our GGUF files in llama.cpp (device llama.cpp:cpu): logits against transformers' recorded ones, for every fixture that GGUF can hold.

    FLAGRELEASE_WRITE_GGUF  writes a checkpoint as GGUF  (default: build/release/tests/exporters/flagrelease-write-gguf)
"""
import os
import struct
import subprocess
import unittest

import numpy

import support

TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_WRITE_GGUF") or
                       os.path.join(support.SOURCE, "build/release/tests/exporters/flagrelease-write-gguf"))
FAMILIES = ("llama-", "mistral-", "qwen2-", "qwen3-")
# What GGUF cannot hold, by what the program says about it.
REFUSED = {"classification": "has no GGUF form", "reward": "has no GGUF form", "embedding": "has no GGUF form", "rerank": "has no GGUF form",
           "dynamic-ntk": "dynamic NTK", "hidden-act": "silu only"}
# NMSE of logits with everything in float32: sums in another order.
BOUND = 1e-6


def write(source, out, kind="f32"):
    return subprocess.run([TOOL, source, out, kind], capture_output=True, text=True)


def context(path):
    """The value of *.context_length, a u32 of a file."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    at = head.index(b".context_length") + len(b".context_length")
    kind, value = struct.unpack("<II", head[at:at + 8])
    assert kind == 4, kind
    return value


class Gguf(support.Case):
    engine = "llama.cpp"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runner = support.Runner("llama_cpp", cls.python)
        cls.addClassCleanup(cls.runner.__exit__)

    def check(self, name, source, golden):
        out = self.path(name + ".out")
        told = write(source, out)
        if told.returncode:
            return told.stderr.strip()
        self.runner.load(out)
        if "longrope" in name and golden["input_ids"].shape[1] > context(os.path.join(out, "model.gguf")):
            return "--format gguf: a text past the context, for which the model takes other frequencies"
        inputs = {key: golden[key] for key in ("input_ids", "attention_mask", "position_ids") if key in golden}
        answer = self.runner.run(**inputs)
        # Past its context a file promises nothing: where the model has a window, the file ends there.
        length = min(context(os.path.join(out, "model.gguf")), golden["input_ids"].shape[1])
        real = golden.get("attention_mask", numpy.ones_like(golden["input_ids"]))[:, :length] != 0
        apart = support.nmse(answer["logits"][:, :length][real], golden["logits"][:, :length][real])
        print("llama.cpp %s: nmse %.2e" % (name, apart), flush=True)
        self.assertLess(apart, BOUND, name)
        return ""

    def test_fixtures(self):
        ran = 0
        for name in sorted(os.listdir(support.FIXTURES)):
            if not name.startswith(FAMILIES):
                continue
            with self.subTest(name):
                golden = support.golden(name)
                why = self.check(name, support.fixture(name, self.path(name)), golden)
                if not why:
                    ran += 1
                    continue
                print("refused %s: %s" % (name, why.splitlines()[-1]), flush=True)
                self.assertIn("--format gguf", why)
        self.assertGreater(ran, 15)

    def test_example(self):
        path = os.path.join(support.EXAMPLE + ".golden", "golden.safetensors")
        golden = {key: tensor.array for key, tensor in support.fr_runner.read_tensors(path).items()}
        self.assertEqual(self.check("example", support.EXAMPLE, golden), "")


if __name__ == "__main__":
    unittest.main()
