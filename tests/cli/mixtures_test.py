"""Which tensor of a mixture has which type: by llama.cpp's published rule, written down here once more; and the fall-backs of rows that are no whole
blocks, a line for each tensor in plan and report. `plan` reads headers only, so the checkpoints are holes of the right size."""
import json
import os
import re

import support
from support import Case, read, run

MIXTURES = {"q4_k_m": "q4_k", "q5_k_m": "q5_k", "q6_k": "q6_k"}
# Layers, and what decides beside them: 8 and 24 are whole eighths, 7 and 61 are not; below 8 the first eighth is empty.
MODELS = [
    ("llama", dict(layers=1)),
    ("llama", dict(layers=7, tied=True)),
    ("llama", dict(layers=8)),
    ("llama", dict(layers=24, kv_heads=8)),
    ("llama", dict(layers=61)),
    ("llama, 70B", dict(layers=80)),
    ("llama, 65B", dict(layers=80, kv_heads=8)),
    ("qwen2, 72B", dict(layers=80, architectures=["Qwen2ForCausalLM"], model_type="qwen2")),
    ("qwen2, 72B with as many heads", dict(layers=80, kv_heads=8, architectures=["Qwen2ForCausalLM"], model_type="qwen2")),
]
# The part of a GGUF file that a tensor of the checkpoint is.
PARTS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def published(mixture, part, layer, layers, tied, seventy):
    """llama.cpp, src/llama-quant.cpp: llama_tensor_get_type without importance matrix and overrides, for dense models of the Llama kind.
    The head is q6_k whatever the mixture, and a tied embedding is the head. The "M" mixtures give more bits to attn_v and ffn_down in the first and the last
    eighth of the layers and in every third between (use_more_bits). Where models of 70B share each value among eight heads, q4_k is
    too little for it."""
    more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    kind = MIXTURES[mixture]
    if part == "output" or (tied and part == "token_embd"):
        return "q6_k"
    if mixture.endswith("_m") and part in ("attn_v", "ffn_down") and more:
        return "q6_k"
    if part == "attn_v" and seventy and kind == "q4_k":
        return "q5_k"
    return kind


def formats(module):
    """tensor of the checkpoint -> block format, from the dumped module after the pass that chooses."""
    found = {}
    for param, body in re.findall(r'fr\.param @"?([\w.]+?)\.effective"? : [^\n]*\n(.*?)\n *\}\n', module, re.S):
        words = re.findall(r"fr\.encode [^\n]*?(\bi?q\d\w*|mxfp4)\b", body)
        if words:
            found[param.removesuffix(".weight")] = words[0]
    return found


class Mixtures(Case):
    def dumped(self, source, scheme, *more):
        dump = self.path("dump-" + scheme)
        result = self.expect(run("plan", source, "--chip", "x86-64", "--format", "gguf", "--scheme", scheme, "--dump-dir", dump, *more), 0)
        (after,) = [entry for entry in os.listdir(dump) if entry.endswith("fr-quantize-weights.mlir")]
        return formats(read(os.path.join(dump, after)).decode()), result

    def test_published_rule(self):
        for i, (what, model) in enumerate(MODELS):
            source = support.llama(self.path(str(i)), data=False, **model)
            for mixture in MIXTURES:
                with self.subTest(what, mixture=mixture, layers=model["layers"]):
                    layers, tied = model["layers"], model.get("tied", False)
                    expected = {"model.embed_tokens": published(mixture, "token_embd", -1, layers, tied, False)}
                    if not tied:
                        expected["lm_head"] = published(mixture, "output", -1, layers, tied, False)
                    for layer in range(layers):
                        for name, part in PARTS.items():
                            expected["model.layers.%d.%s" % (layer, name)] = published(mixture, part, layer, layers, tied, what.endswith("0B") or "72B" in what)
                    found, _ = self.dumped(source, mixture)
                    self.assertEqual(found, expected)

    def test_recorded(self):
        """What the list is for 12 layers, in plain sight: layers of which attn_v and ffn_down are q6_k."""
        source = support.llama(self.path("source"), layers=12, data=False)
        for mixture, kind in (("q4_k_m", "q4_k"), ("q5_k_m", "q5_k")):
            found, _ = self.dumped(source, mixture)
            for part in ("self_attn.v_proj", "mlp.down_proj"):
                kinds = [found["model.layers.%d.%s" % (i, part)] for i in range(12)]
                self.assertEqual([i for i in range(12) if kinds[i] == "q6_k"], [0, 3, 6, 9, 10, 11])
                self.assertEqual(set(kinds), {kind, "q6_k"})

    # llama.cpp, src/llama-quant.cpp: what a type becomes whose blocks do not fit the rows.
    INSTEAD = {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}

    def test_rows_that_do_not_fit(self):
        """Rows of 64 and 96 numbers hold no block of 256: each tensor has its stand-in, and a line that says so. Rows of 72 hold none at all."""
        for inner, scheme, whole in ((96, "q4_k_m", True), (96, "q5_k_m", True), (96, "q6_k", True), (72, "q4_k_m", False)):
            with self.subTest(scheme, inner=inner):
                source = support.llama(self.path("%s-%d" % (scheme, inner)), layers=2, hidden=64, heads=4, inner=inner)
                refused = run("plan", source, "--chip", "x86-64", "--format", "gguf", "--scheme", scheme)
                self.expect(refused, 1, "--allow-type-fallback")
                found, result = self.dumped(source, scheme, "--allow-type-fallback")
                lines = dict(re.findall(r"^  (\S+\.weight): (its rows of .*)$", result.out, re.M))
                kinds = {}
                for tensor, line in lines.items():
                    width, kind, end = re.fullmatch(r"its rows of (\d+) numbers are no whole blocks of (\w+): (.*)", line).groups()
                    stays = tensor.endswith("ffn_down.weight") and not whole
                    self.assertEqual(end, "stays as it is" if stays else "stored as " + self.INSTEAD[kind], tensor)
                    self.assertEqual(int(width), inner if "ffn_down" in tensor else 64)
                    kinds[tensor] = None if stays else self.INSTEAD[kind]
                # Every matrix is among them, and each is refused without the option.
                self.assertEqual(len(lines), 2 + 2 * len(PARTS))
                self.assertEqual(set(re.findall(r"^error: (\S+): its rows", refused.err, re.M)), set(lines))
                self.assertEqual(sorted(kind for kind in kinds.values() if kind), sorted(found.values()))
                self.assertEqual(kinds["blk.1.attn_v.weight"], self.INSTEAD[published(scheme, "attn_v", 1, 2, False, False)])
                self.assertEqual(kinds["output.weight"], "q8_0")
                words = ("--chip", "x86-64", "--format", "gguf", "--scheme", scheme, "--allow-type-fallback")
                plan = run("plan", source, *words, "--json").json()
                self.assertEqual({entry["tensor"]: entry["reason"] for entry in plan["fallbacks"]}, lines)
                out = self.path("out-%s-%d" % (scheme, inner))
                result = self.expect(run("migrate", source, *words, "--validate", "bytes", "--out", out), 0)
                report = json.loads(read(os.path.join(out, "report.json")))
                self.assertEqual({entry["tensor"]: entry["reason"] for entry in report["lineage"]["fallbacks"]}, lines)
                for tensor, line in lines.items():
                    self.assertIn(tensor + ": " + line, result.err)
                self.assertEqual(self.stored(out), kinds)

    TYPES = {2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 12: "q4_k", 13: "q5_k", 14: "q6_k", 30: None, 0: None}

    def stored(self, out):
        """matrix -> type, as the file says."""
        (name,) = [entry for entry in os.listdir(os.path.join(out, "model")) if entry.endswith(".gguf")]
        return {tensor: self.TYPES[kind] for tensor, kind, shape in support.gguf_tensors(os.path.join(out, "model", name)) if len(shape) > 1}

    def test_groups_that_do_not_fit(self):
        """Integers in groups: such a matrix stays as it is, in the folder and in the graph, with the same lines."""
        source = support.llama(self.path("source"), layers=1, hidden=128, heads=4, inner=96)
        for form in ("hf", "onnx"):
            with self.subTest(form):
                words = ("--chip", "x86-64", "--format", form, "--scheme", "w4a16-g128")
                self.expect(run("plan", source, *words), 1, "model.layers.0.mlp.down_proj.weight", "--allow-type-fallback")
                result = self.expect(run("plan", source, *words, "--allow-type-fallback"), 0)
                line = "its rows of 96 numbers are no whole groups of 128: stays as it is"
                self.assertEqual(re.findall(r"^  (\S+\.weight): (its rows of .*)$", result.out, re.M), [("model.layers.0.mlp.down_proj.weight", line)])
                out = self.path(form)
                self.expect(run("migrate", source, *words, "--allow-type-fallback", "--validate", "bytes", "--out", out), 0, "model.layers.0.mlp.down_proj.weight: " + line)
                report = json.loads(read(os.path.join(out, "report.json")))
                self.assertEqual(report["lineage"]["fallbacks"], [{"tensor": "model.layers.0.mlp.down_proj.weight", "reason": line}])
        config = json.loads(read(self.path("hf/model/config.json")))
        self.assertIn("model.layers.0.mlp.down_proj", config["quantization_config"]["ignore"])
        # Nothing fell back: nothing is said.
        fits = support.llama(self.path("fits"))
        self.assertEqual(run("plan", fits, *words, "--allow-type-fallback", "--json").json()["fallbacks"], [])


if __name__ == "__main__":
    support.main()
