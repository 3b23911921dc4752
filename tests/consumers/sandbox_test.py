"""The devices as the program runs them: in the sandbox, without network, through flagrelease-device."""
import json
import os
import subprocess
import unittest

import numpy

import gguf_writer
import support


class Sandbox(support.Case):
    engine = "transformers"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not os.access(support.DEVICE_TOOL, os.X_OK):
            raise AssertionError("not run: %s is not built" % support.DEVICE_TOOL)
        golden = support.fr_runner.read_tensors(os.path.join(support.EXAMPLE + ".golden", "golden.safetensors"))
        cls.ids, cls.logits = golden["input_ids"].array[:2], golden["logits"].array[:2]

    def run_device(self, device, model, **inputs):
        source, target = self.path("in.safetensors"), self.path("out.safetensors")
        support.fr_runner.write_tensors(source, inputs)
        done = subprocess.run([support.DEVICE_TOOL, device, model, source, target], capture_output=True, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertIn("sandbox: no network", told["isolation"])
        print("%s %s %s, %s: load %.1f s, run %.1f s, peak %.0f MB" % (device, told["engine"], told["engine_version"], told["tier"],
                                                                        told["load_seconds"], told["run_seconds"], told["peak_rss"] / 1e6))
        return told["tier"], {name: tensor.array for name, tensor in support.fr_runner.read_tensors(target).items()}

    def inputs(self):
        positions = numpy.tile(numpy.arange(self.ids.shape[1]), (len(self.ids), 1))
        return {"input_ids": self.ids, "attention_mask": numpy.ones_like(self.ids), "position_ids": positions}

    def test_transformers(self):
        tier, answer = self.run_device("transformers:cpu", support.EXAMPLE, **self.inputs())
        self.assertEqual(tier, "T1")
        self.assertLess(support.nmse(answer["logits"], self.logits), 1e-9)

    def test_llama_cpp(self):
        model = gguf_writer.write(support.EXAMPLE, self.path("example.gguf"), "F32")
        tier, answer = self.run_device("llama.cpp:cpu", model, **self.inputs())
        self.assertEqual(tier, "T1")
        self.assertLess(support.nmse(answer["logits"], self.logits), 1e-6)

    def test_vllm(self):
        inputs = self.inputs()
        del inputs["position_ids"]
        tier, answer = self.run_device("vllm:cpu", support.EXAMPLE, **inputs)
        self.assertEqual(tier, "T2")
        self.assertGreater((answer["topk_ids"][..., 0] == self.logits.argmax(-1)).mean(), 0.99)


if __name__ == "__main__":
    unittest.main()
