"""Device llama.cpp:cpu on GGUF files written by the `gguf` package, against transformers' recorded logits: the runner, not our exporter."""
import os
import unittest

import numpy

import gguf_writer
import support

MODELS = ["llama-tinyllama-1.1b", "llama-llama-7b", "qwen2-qwen2.5-0.5b", "qwen3-qwen3-0.6b"]
# NMSE of logits. F32: float32 sums in another order. F16: products of numbers rounded to 11 bits, (2^-12)^2 each, over some twenty of
# them one after another. Q8_0: weights and activations are rounded to amax / 127 of 32 numbers, a relative variance near 1e-5 each.
BOUNDS = {"F32": 1e-6, "F16": 1e-5, "Q8_0": 2e-3}


class LlamaCpp(support.Case):
    engine = "llama.cpp"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runner = support.Runner("llama_cpp", cls.python)
        cls.addClassCleanup(cls.runner.__exit__)

    def model(self, name, kind="F32"):
        path = self.path("%s-%s.gguf" % (name, kind))
        if not os.path.exists(path):
            folder = support.EXAMPLE if name == "example" else support.fixture(name, self.path(name))
            gguf_writer.write(folder, path, kind)
        return path

    def golden(self, name):
        if name != "example":
            return support.golden(name)
        path = os.path.join(support.EXAMPLE + ".golden", "golden.safetensors")
        return {key: tensor.array for key, tensor in support.fr_runner.read_tensors(path).items()}

    def test_probe(self):
        probe = self.runner.probe()
        self.assertEqual(probe["engine"], "llama.cpp")
        self.assertTrue(probe["engine_version"])
        self.assertEqual(self.runner.tier, "T1")

    def test_goldens(self):
        for name in MODELS + ["example"]:
            for kind, bound in BOUNDS.items():
                with self.subTest("%s %s" % (name, kind)):
                    golden = self.golden(name)
                    self.runner.load(self.model(name, kind))
                    answer = self.runner.run(input_ids=golden["input_ids"])
                    apart = support.nmse(answer["logits"], golden["logits"])
                    print("llama.cpp %s %s: nmse %.2e" % (name, kind, apart))
                    self.assertLess(apart, bound)

    def test_padding_and_cache(self):
        name = "qwen3-qwen3-0.6b"
        self.runner.load(self.model(name))
        for side in ("left", "right"):
            with self.subTest(side):
                golden = support.golden(name, "golden-%s.safetensors" % side)
                mask, positions, ids = golden["attention_mask"], golden["position_ids"], golden["decode.ids"]
                answer = self.runner.run(input_ids=golden["input_ids"], attention_mask=mask, position_ids=positions)
                real = mask != 0
                self.assertLess(support.nmse(answer["logits"][real], golden["logits"][real]), 1e-6)
                self.assertFalse(answer["logits"][~real].any())
                counts, before = mask.sum(1), None
                for step in range(ids.shape[1] - 1):
                    mask = numpy.concatenate([mask, numpy.ones((len(mask), 1), numpy.int64)], 1)
                    inputs = dict(input_ids=ids[:, step:step + 1], attention_mask=mask, position_ids=(counts + step)[:, None],
                                  past_key_values__text=answer["present.text"])
                    answer = self.runner.run(**inputs)
                    self.assertLess(support.nmse(answer["logits"][:, 0], golden["decode.logits"][:, step + 1]), 1e-6, step)
                    before = before or (inputs, answer)
                # A text that the cache does not hold any more: the calls are repeated, and give the same bytes.
                again = self.runner.run(**before[0])
                self.assertEqual(again["logits"].tobytes(), before[1]["logits"].tobytes())

    def test_long_text(self):
        """More ids than one llama_decode takes, in one call and in two."""
        self.runner.load(self.model("example"))
        ids = numpy.resize(self.golden("example")["input_ids"][0], (1, 300))
        whole = self.runner.run(input_ids=ids)["logits"]
        first = self.runner.run(input_ids=ids[:, :200])
        second = self.runner.run(input_ids=ids[:, 200:], attention_mask=numpy.ones((1, 300), numpy.int64),
                                 position_ids=numpy.arange(200, 300)[None], past_key_values__text=first["present.text"])
        self.assertLess(support.nmse(numpy.concatenate([first["logits"], second["logits"]], 1), whole), 1e-6)

    def test_refusals(self):
        def refused(kind, call):
            with self.assertRaises(support.RunnerFault) as caught:
                call()
            self.assertEqual(caught.exception.kind, kind, caught.exception)

        model = self.model("qwen3-qwen3-0.6b")
        broken = self.path("broken.gguf")
        with open(broken, "wb") as file:
            file.write(b"GGUF" + b"\xff" * 60)
        refused("bad-model", lambda: self.runner.load(broken))
        with open(model, "rb") as file:
            content = file.read()
        with open(broken, "wb") as file:
            file.write(content[:len(content) // 2])
        refused("bad-model", lambda: self.runner.load(broken))
        with open(broken, "wb") as file:
            file.write(content.replace(b"qwen3", b"qwex3"))
        refused("unsupported", lambda: self.runner.load(broken))
        refused("bad-input", lambda: self.runner.load(model, ["hidden.0"]))
        self.runner.load(model)
        refused("bad-input", lambda: self.runner.run(input_ids=numpy.full((1, 2), 10**6)))
        refused("bad-input", lambda: self.runner.run(attention_mask=numpy.ones((1, 2), numpy.int64)))


if __name__ == "__main__":
    unittest.main()
