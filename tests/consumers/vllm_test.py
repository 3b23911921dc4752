"""Device vllm:cpu: top log-probabilities against recorded logits, a W8A8 folder made by hand against transformers with the same folder, and
what `--format hf` writes, from the command line to the verdict."""
import json
import os
import subprocess
import unittest

import numpy

import quantise
import support

EXACT = 1e-3  # of a log-probability: float32 sums in another order
PROGRAM = os.path.abspath(os.environ.get("FLAGRELEASE") or os.path.join(support.SOURCE, "build/release/flagrelease"))


def logprobs(logits):
    logits = logits.astype(numpy.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))


class Vllm(support.Case):
    engine = "vllm"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runner = support.Runner("vllm", cls.python)
        cls.addClassCleanup(cls.runner.__exit__)
        cls.golden = {key: tensor.array for key, tensor in
                      support.fr_runner.read_tensors(os.path.join(support.EXAMPLE + ".golden", "golden.safetensors")).items()}

    def compare(self, answer, logits, bound, what):
        """The log-probabilities that the engine names are those of the logits, and nothing better was left out."""
        expected = logprobs(logits)
        apart = numpy.abs(numpy.take_along_axis(expected, answer["topk_ids"], -1) - answer["topk_logprobs"])
        print("vllm %s: log-probabilities apart %.2e at most, %.2e on average" % (what, apart.max(), apart.mean()))
        self.assertLess(apart.max(), bound)
        top = numpy.sort(expected, -1)[..., ::-1][..., :answer["topk_logprobs"].shape[-1]]
        self.assertLess(numpy.abs(top - answer["topk_logprobs"]).max(), bound)

    def test_probe(self):
        probe = self.runner.probe()
        self.assertEqual(probe["engine"], "vllm")
        self.assertTrue(probe["engine_version"])
        self.assertEqual(self.runner.tier, "T2")

    def test_example(self):
        self.runner.load(support.EXAMPLE)
        ids, logits = self.golden["input_ids"][:2], self.golden["logits"][:2]
        self.compare(self.runner.run(input_ids=ids), logits, EXACT, "example float32")
        # Padding: row 1 is shortened, on either side.
        for side, real in (("left", slice(40, 64)), ("right", slice(0, 24))):
            mask, padded = numpy.ones_like(ids), ids.copy()
            mask[1] = 0
            mask[1, real] = 1
            padded[1, real] = ids[1, :24]
            padded[1][mask[1] == 0] = 0
            answer = self.runner.run(input_ids=padded, attention_mask=mask)
            self.compare({key: value[1:, real] for key, value in answer.items()}, logits[1:, :24], EXACT, "padding on the " + side)
            self.assertTrue((answer["topk_ids"][1][mask[1] == 0] == -1).all())

    def test_w8a8(self):
        """int8 activations are rounded to amax / 127 by vLLM and to amax / 127.5 by compressed-tensors: what that adds to the same weights in float32
        is noise of the same size in both, and no more."""
        folder, whole = self.path("w8a8"), self.path("w8a8-plain")
        quantise.plain(support.EXAMPLE, whole, quantise.w8a8(support.EXAMPLE, folder))
        ids, expected = self.golden["input_ids"][:2], {}
        with support.Runner("transformers", support.python_of("transformers")) as other:
            for model in (folder, whole):
                other.load(model, ["logits"])
                expected[model] = logprobs(other.run(input_ids=ids)["logits"])
        self.runner.load(folder)
        answer = self.runner.run(input_ids=ids)
        there = numpy.take_along_axis(expected[whole], answer["topk_ids"], -1)
        ours = numpy.abs(there - answer["topk_logprobs"]).mean()
        theirs = numpy.abs(there - numpy.take_along_axis(expected[folder], answer["topk_ids"], -1)).mean()
        print("vllm W8A8: log-probabilities %.2e on average from the same weights in float32, transformers' %.2e" % (ours, theirs))
        self.assertTrue(theirs / 1.5 < ours < theirs * 1.5, (ours, theirs))

    def migrate(self, scheme, *words):
        done = subprocess.run([PROGRAM, "migrate", support.EXAMPLE, "--chip", "x86-64", "--format", "hf", "--scheme", scheme, "--device", "vllm:cpu",
                               "--out", self.path("out-" + scheme), "--json", "--quiet", *words], capture_output=True, text=True, timeout=1200)
        self.assertTrue(done.stdout, done.stderr)
        return done, json.loads(done.stdout)

    def test_migrated(self):
        """The folder of a migration in vLLM: every case of the gate, on evidence of tier T2."""
        for scheme in ("source", "w8a8"):
            with self.subTest(scheme):
                done, said = self.migrate(scheme, "--gate", "logprobs")
                self.assertEqual((done.returncode, said["verdict"]), (0, "ACCEPT"), done.stdout + done.stderr)
                self.assertEqual([output["name"] for output in said["outputs"]], ["topk_logprobs"])
                print("vllm --scheme %s: log-probabilities apart %.2e at most, nmse %.2e" %
                      (scheme, said["outputs"][0]["logprob"], said["outputs"][0]["nmse"]))
        # Every check passed, and a gate that asks for logits is not satisfied by lists.
        done, said = self.migrate("w8a8")
        self.assertEqual((done.returncode, said["verdict"]), (4, "UNPROVEN"), done.stdout + done.stderr)
        self.assertEqual({check["state"] for check in said["checks"]}, {"passed", "not-applicable"})
        self.assertTrue(any("shows T2, the gate needs T1" in reason for reason in said["reasons"]), said["reasons"])

    def test_int4(self):
        """Zeros packed along the outputs, and the layout of GPTQ: what vLLM reads are the numbers that our own readers read, in bf16 arithmetic."""
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            able = "avx512f" in file.read()
        for scheme, chip in (("w4a16-g32-asym", "x86-64"), ("w4a16-g128-gptq", "nvidia-a100")):
            with self.subTest(scheme), support.Runner("vllm", self.python) as runner:
                folder, whole = self.path(scheme), self.path(scheme + "-fp32")
                for source, out, form in ((support.EXAMPLE, folder, ("--chip", chip, "--scheme", scheme)),
                                          (os.path.join(folder, "model"), whole, ("--chip", "x86-64", "--scheme", "fp32"))):
                    subprocess.run([PROGRAM, "migrate", source, "--format", "hf", "--device", "none", "--out", out, "--quiet", *form], check=True,
                                   stdout=subprocess.DEVNULL)
                if not able:
                    with self.assertRaises(support.RunnerFault) as caught:
                        runner.load(os.path.join(folder, "model"))
                    self.assertEqual(caught.exception.kind, "unsupported", caught.exception)
                    continue
                ids = self.golden["input_ids"][:2]
                with support.Runner("transformers", support.python_of("transformers")) as other:
                    other.load(os.path.join(whole, "model"), ["logits"])
                    expected = logprobs(other.run(input_ids=ids)["logits"])
                runner.load(os.path.join(folder, "model"))
                answer = runner.run(input_ids=ids)
                apart = numpy.abs(numpy.take_along_axis(expected, answer["topk_ids"], -1) - answer["topk_logprobs"])
                print("vllm --scheme %s: log-probabilities apart %.2e at most, %.2e on average" % (scheme, apart.max(), apart.mean()))
                self.assertLess(apart.mean(), 0.03)
                self.assertLess(apart.max(), 0.5)

    def test_refusals(self):
        def refused(kind, call):
            with self.assertRaises(support.RunnerFault) as caught:
                call()
            self.assertEqual(caught.exception.kind, kind, caught.exception)

        refused("bad-model", lambda: self.runner.load(self.path("nothing", "here")))
        empty = self.path("empty")
        os.makedirs(empty, exist_ok=True)
        refused("bad-model", lambda: self.runner.load(empty))
        with open(os.path.join(empty, "config.json"), "w", encoding="utf-8") as file:
            json.dump({"model_type": "qwen3", "vocab_size": 8}, file)
        refused("bad-input", lambda: self.runner.load(empty, ["logits"]))
        # Heads of 16: no attention kernel for them. In a process of its own: vLLM may not recover.
        small = support.fixture("llama-tinyllama-1.1b", self.path("small"))
        with support.Runner("vllm", self.python) as runner:
            refused("unsupported", lambda: runner.load(small))


if __name__ == "__main__":
    unittest.main()
