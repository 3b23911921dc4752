"""A family that no recipe knows: what `inspect` says of it, the draft that tools/new_family writes, and three recipes in a folder of one's own, made as
CONTRIBUTING.md says, whose numbers are those of transformers. The checkpoints are fixtures under a name that nobody knows."""
import json
import os
import subprocess
import sys
import unittest

import support
from support import SOURCE, Case, read, run, write

# What a newcomer writes: where the norms are, a fused projection, a mixture of experts.
NORMS = """\
recipe: 1
like: llama
match:
  - architectures: [FarNormsForCausalLM]
defaults: {override: {attention_bias: {value: false, reason: "its projections have none"}, head_dim: {value: "null", reason: "a part of hidden_size"}}}
patch:
  layers/attn/rms_norm: {$delete: true}
  layers/attn/attention:
    qk_norm: {kind: rms, q: self_attn.q_norm, k: self_attn.k_norm, eps: rms_norm_eps, whole: true}
    rope: {interleaved: null}
    $after: [{rms_norm: {weight: post_attention_layernorm, eps: rms_norm_eps}}]
  layers/ffn/rms_norm: {$delete: true}
  layers/ffn/mlp: {bias: false, $after: [{rms_norm: {weight: post_feedforward_layernorm, eps: rms_norm_eps}}]}
"""
FUSED = """\
recipe: 1
like: llama
match:
  - architectures: [FarFusedForCausalLM]
defaults: Phi3Config
patch:
  layers: {let: {window: sliding_window}}
  layers/attn/attention: {q: null, k: null, v: null, qkv: self_attn.qkv_proj, bias: false, rope: {interleaved: null}}
  layers/ffn/mlp: {gate: null, up: null, gate_up: mlp.gate_up_proj, bias: false}
inert:
  partial_rotary_factor: "1 in all files of this family"
  original_max_position_embeddings: "without scaling nobody reads it"
"""
EXPERTS = """\
recipe: 1
like: mistral
match:
  - architectures: [FarExpertsForCausalLM]
defaults: MixtralConfig
graphs:
  experts:
    in: [x]
    do:
      - linear: {id: router, weight: gate, bias: false, width: num_local_experts}
      - softmax: {axis: -1}
      - top_k: {k: num_experts_per_tok, out: [chosen, places]}
      - reduce: {in: chosen, kind: sum, axes: [-1], keep: true, out: total}
      - div: {in: [chosen, total], out: shares}
      - moe:
          in: [x, places, shares]
          experts: num_local_experts
          width: intermediate_size
          gate: "experts.{e}.w1.weight"
          up: "experts.{e}.w3.weight"
          down: "experts.{e}.w2.weight"
          act: =hidden_act
patch:
  layers/ffn/mlp: {$replace: [{call: {id: moe, graph: experts, at: block_sparse_moe}}]}
"""
FAMILIES = [("olmo2-olmo-2-7b", "FarNormsForCausalLM", "far_norms", NORMS), ("phi3-phi-3-mini-4k", "FarFusedForCausalLM", "far_fused", FUSED),
            ("mixtral-mixtral-8x7b", "FarExpertsForCausalLM", "far_experts", EXPERTS)]


def unknown(name, architecture, folder, **changes):
    support.fixture(name, folder)
    path = os.path.join(folder, "config.json")
    config = json.loads(read(path))
    config.update(changes, architectures=[architecture])
    write(path, json.dumps(config))
    return folder


class NewFamily(Case):
    def test_recipes_of_ones_own(self):
        for name, architecture, stem, text in FAMILIES:
            with self.subTest(name):
                source = unknown(name, architecture, self.path(stem))
                write(self.path("recipes", "models", stem + ".yaml"), text)
                golden = os.path.join(SOURCE, "tests/fixtures/models", name, "golden.safetensors")
                words = ("validate", source, "--golden", golden, "--device", "reference", "--recipes", self.path("recipes"), "--json")
                result = run(*words).json()
                self.assertEqual(result["verdict"], "PASS", result)
                self.assertGreater(len(result["outputs"]), 2)
                # It is the graph that is judged: another epsilon is seen.
                unknown(name, architecture, source, rms_norm_eps=0.1)
                self.assertEqual(run(*words).json()["verdict"], "REGRESSION")
                os.remove(self.path("recipes", "models", stem + ".yaml"))

    def test_nearest(self):
        for name, architecture, stem, parent in (("olmo2-olmo-2-7b", "FarNormsForCausalLM", "norms", "olmo2"),
                                                 ("mixtral-mixtral-8x7b", "FarExpertsForCausalLM", "experts", "mixtral")):
            with self.subTest(name):
                source = unknown(name, architecture, self.path(stem))
                shown = run("inspect", source)
                self.expect(shown, 2, "unknown architecture '" + architecture + "'")
                self.assertIn("near recipe " + parent, shown.out)
                facts = json.loads(run("inspect", source, "--json").out)
                near = {one["family"]: one for one in facts["nearest"]}
                self.assertEqual(near[parent]["unknown_tensors"], [])
                self.assertEqual(near[parent]["known"], near[parent]["patterns"])

    def test_draft(self):
        source = unknown("mixtral-mixtral-8x7b", "FarExpertsForCausalLM", self.path("source"))
        words = [sys.executable, os.path.join(SOURCE, "tools/new_family"), source, "far_experts", "--program", support.PROGRAM, "--out",
                 self.path("recipes", "models")]
        made = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(made.returncode, 0, made.stderr)
        text = read(self.path("recipes", "models", "far_experts.yaml")).decode()
        self.assertIn("like: mixtral", text)
        self.assertIn("architectures: [FarExpertsForCausalLM]", text)
        again = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(again.returncode, 1)
        self.assertIn("far_experts.yaml exists", again.stderr)
        known = subprocess.run(words[:3] + ["x"] + words[4:], capture_output=True, text=True, timeout=60)
        self.assertEqual(known.returncode, 0, known.stderr)
        bad = subprocess.run(words[:3] + ["Far Experts"] + words[4:], capture_output=True, text=True, timeout=60)
        self.assertIn("is no name of a recipe", bad.stderr)


if __name__ == "__main__":
    support.main()
