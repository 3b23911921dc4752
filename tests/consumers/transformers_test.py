"""Device transformers:cpu against what the fixtures' goldens say, cache, padding, taps, refusals."""
import json
import os
import unittest

import numpy

import quantise
import support

# One of each kind of layer, task and rotary table among the fixtures.
CAUSAL = ["llama-llama-3.2-1b", "llama-rope-yarn", "llama-rope-dynamic-crossing", "llama-rope-longrope-past", "mistral-mistral-7b-v0.1",
          "qwen2-qwen2.5-0.5b", "qwen2-layer-types", "qwen3-qwen3-0.6b", "qwen3-layer-types"]
OTHERS = ["mistral-sequence-classification", "qwen3-sequence-classification", "qwen3-qwen3-embedding-0.6b"]
TOLERANCE = 1e-9  # NMSE; both are transformers in float32, of neighbouring releases


def states(answer):
    return {name.replace("present.", "past_key_values."): value for name, value in answer.items() if name.startswith("present.")}


class Transformers(support.Case):
    engine = "transformers"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runner = support.Runner("transformers", cls.python)
        cls.addClassCleanup(cls.runner.__exit__)

    def model(self, name):
        folder = self.path(name)
        return folder if os.path.exists(folder) else support.fixture(name, folder)

    def test_probe(self):
        probe = self.runner.probe()
        self.assertEqual(probe["engine"], "transformers")
        self.assertTrue(probe["engine_version"] and probe["versions"]["torch"])
        self.assertEqual(self.runner.tier, "T1")

    def test_goldens(self):
        for name in CAUSAL + OTHERS:
            with self.subTest(name):
                golden = support.golden(name)
                inputs = {key: golden[key] for key in ("input_ids", "attention_mask", "position_ids") if key in golden}
                outputs = [key for key in golden if key not in ("input_ids", "attention_mask", "position_ids", "rerank_score")]
                self.runner.load(self.model(name), outputs)
                answer = self.runner.run(**inputs)
                self.assertEqual(sorted(answer), sorted(outputs))
                for key in outputs:
                    got, expected = answer[key], golden[key]
                    if "attention_mask" in golden and got.shape[:2] == golden["attention_mask"].shape and got.ndim == 3:
                        real = golden["attention_mask"] != 0
                        got, expected = got[real], expected[real]
                    self.assertLess(support.nmse(got, expected), TOLERANCE, key)

    def test_padding_and_cache(self):
        for name in CAUSAL:
            for side in ("left", "right"):
                if not os.path.exists(os.path.join(support.FIXTURES, name, "golden-%s.safetensors" % side)):
                    continue
                with self.subTest("%s %s" % (name, side)):
                    self.padded(name, side)

    def padded(self, name, side):
        golden = support.golden(name, "golden-%s.safetensors" % side)
        with open(os.path.join(support.FIXTURES, name, "golden-padded.json"), encoding="utf-8") as file:
            claims = json.load(file)
        self.runner.load(self.model(name))
        mask, positions = golden["attention_mask"], golden["position_ids"]
        answer = self.runner.run(input_ids=golden["input_ids"], attention_mask=mask, position_ids=positions)
        real = mask != 0
        self.assertLess(support.nmse(answer["logits"][real], golden["logits"][real]), TOLERANCE)
        self.assertTrue(numpy.isfinite(answer["logits"]).all())
        # Where the window of transformers counts padding (FORMAT.md), the lonely row is what is right, and what the runner gives.
        row, ids, logits = slice(None), golden["decode.ids"], golden["decode.logits"]
        if claims["left"]["decode_is_alone"] and not claims[side]["decode_is_alone"]:
            alone = support.golden(name, "golden-alone.safetensors")
            row, logits = claims["alone"], alone["decode.logits"][0]
            ids = numpy.repeat(alone["decode.ids"], len(mask), 0)
        counts = mask.sum(1)
        for step in range(ids.shape[1] - 1):
            mask = numpy.concatenate([mask, numpy.ones((len(mask), 1), numpy.int64)], 1)
            past = {key.replace(".", "__"): value for key, value in states(answer).items()}
            answer = self.runner.run(input_ids=ids[:, step:step + 1], attention_mask=mask, position_ids=(counts + step)[:, None], **past)
            expected = logits[..., step + 1, :]
            self.assertLess(support.nmse(answer["logits"][row, 0], expected), TOLERANCE, step)

    def test_same_bytes(self):
        self.runner.load(self.model("qwen3-qwen3-0.6b"))
        ids = support.golden("qwen3-qwen3-0.6b")["input_ids"]
        first, second = self.runner.run(input_ids=ids), self.runner.run(input_ids=ids)
        for name in first:
            self.assertEqual(first[name].tobytes(), second[name].tobytes(), name)

    def test_w8a8(self):
        """compressed-tensors int8 against the same weights in float32: apart by the int8 of activations, which are rounded to amax / 127."""
        name = "llama-tinyllama-1.1b"
        meant = quantise.w8a8(self.model(name), self.path("w8a8"))
        quantise.plain(self.model(name), self.path("w8a8-plain"), meant)
        ids, logits = support.golden(name)["input_ids"], {}
        for folder in ("w8a8", "w8a8-plain"):
            self.runner.load(self.path(folder), ["logits"])
            logits[folder] = self.runner.run(input_ids=ids)["logits"]
        apart = support.nmse(logits["w8a8"], logits["w8a8-plain"])
        print("transformers W8A8: nmse %.2e to the same weights in float32" % apart)
        self.assertTrue(0 < apart < 2e-3, apart)

    def test_quantised(self):
        """Published ways of storing weights that the library has no rounding of activations for: exact. What it cannot load it says."""
        for name in ("quant-ct-w4a16-packed-g32-llama", "quant-ct-w8a16-packed-llama", "quant-ct-w3a16-packed-g32-llama", "quant-ct-mxfp4-llama"):
            with self.subTest(name):
                golden = support.golden(name)
                self.runner.load(self.model(name), ["logits"])
                self.assertLess(support.nmse(self.runner.run(input_ids=golden["input_ids"])["logits"], golden["logits"]), TOLERANCE)
        for name, kind in (("quant-gptq-int4-g32-desc-act-qwen3", "unsupported"), ("quant-awq-int4-g32-llama", "unsupported"),
                           ("quant-bnb-nf4-llama", "unsupported"), ("quant-modelopt-fp8-llama", "unsupported"),
                           ("quant-ct-w4a16-actorder-llama", "bad-model"), ("quant-ct-w4a16-asym-g32-llama", "bad-model")):
            with self.subTest(name):
                with self.assertRaises(support.RunnerFault) as caught:
                    self.runner.load(self.model(name))
                self.assertEqual(caught.exception.kind, kind, caught.exception)

    def test_refusals(self):
        def refused(kind, call):
            with self.assertRaises(support.RunnerFault) as caught:
                call()
            self.assertEqual(caught.exception.kind, kind, caught.exception)

        model = self.model("qwen3-qwen3-0.6b")
        refused("bad-input", lambda: self.runner.load(model, ["nonsense"]))
        empty = self.path("empty")
        os.makedirs(empty, exist_ok=True)
        refused("bad-model", lambda: self.runner.load(empty))
        for number, (kind, change) in enumerate((
                ("bad-model", {"hidden_size": 24}), ("bad-model", {"num_hidden_layers": 5}), ("unsupported", {"model_type": "nobody-knows"}),
                ("unsupported", {"quantization_config": {"quant_method": "nobody-knows"}}),
                ("unsupported", {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}}))):
            wrong = support.fixture("qwen3-qwen3-0.6b", self.path("wrong-%d" % number))
            with open(os.path.join(wrong, "config.json"), encoding="utf-8") as file:
                config = dict(json.load(file), **change)
            with open(os.path.join(wrong, "config.json"), "w", encoding="utf-8") as file:
                json.dump(config, file)
            refused(kind, lambda: self.runner.load(wrong))
        self.runner.load(model)
        refused("bad-input", lambda: self.runner.run(attention_mask=numpy.ones((1, 2), numpy.int64)))
        refused("bad-input", lambda: self.runner.run(input_ids=numpy.ones((1, 2), numpy.int32)))
        refused("bad-input", lambda: self.runner.run(input_ids=numpy.ones((1, 2), numpy.int64), nonsense=numpy.ones(1)))


if __name__ == "__main__":
    unittest.main()
