"""Every scheme that a consumer loads, from the command line to the verdict: the example model, written and measured on the consumer's own engine."""
import os
import subprocess
import tempfile
import unittest

import support

PROGRAM = os.path.abspath(os.environ.get("FLAGRELEASE") or os.path.join(support.SOURCE, "build/release/flagrelease"))
MODEL = os.path.join(support.SOURCE, "examples/models/kjv-qwen3-5m")
# ACCEPT of gate default: full logits, prefill, decode, padded batches and tokens, against the numbers that ship.
ACCEPTED = {
    "hf": ["source", "fp32", "w8a16", "w8a8", "w4a16-g32", "w4a16-g128", "w4a16-g32-asym", "w4a16-g128-asym", "mxfp4", "fp8", "fp8-tensor", "fp8-block128"],
    "gguf": ["source", "fp32", "fp16", "q8_0", "q6_k", "q5_k_m", "q5_0", "q5_1", "q4_k_m", "q4_0", "q4_1", "mxfp4"],
    "onnx": ["source", "fp16", "w8a16", "w8a8", "w4a16-g32", "w4a16-g64", "w4a16-g128", "w4a16-g32-asym", "w4a16-g64-asym", "w4a16-g128-asym"],
}


class Schemes(unittest.TestCase):
    def migrate(self, form, scheme):
        with tempfile.TemporaryDirectory(prefix="flagrelease-schemes-") as folder:
            out = os.path.join(folder, "out")
            words = [PROGRAM, "migrate", MODEL, "--chip", "x86-64", "--format", form, "--scheme", scheme, "--out", out, "--quiet"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("ACCEPT on ", done.stdout)
            print("%s %s: %s" % (form, scheme, next(line.strip() for line in done.stdout.splitlines() if "logits:" in line)))
            self.assertEqual(subprocess.run([PROGRAM, "verify", out], capture_output=True, timeout=60).returncode, 0)


for one in ACCEPTED:
    for name in ACCEPTED[one]:
        setattr(Schemes, "test_%s_%s" % (one, name.replace("-", "_")), lambda self, form=one, scheme=name: self.migrate(form, scheme))

if __name__ == "__main__":
    unittest.main()
