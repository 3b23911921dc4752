"""What a user can do, command by command, with exit codes; and what --json prints, against docs/json.md."""
import json
import os
import re
import shutil

import support
from support import Case, flip, ids_file, read_safetensors, run, runner_python, write_safetensors

EXAMPLES = os.path.join(support.SOURCE, "examples/models")
MODEL = os.path.join(EXAMPLES, "kjv-qwen3-5m")
GOLDEN = os.path.join(EXAMPLES, "kjv-qwen3-5m.golden/golden.safetensors")
VERBS = ["migrate", "plan", "inspect", "run", "validate", "verify", "list", "check", "doctor"]
SHORT = os.path.join(support.RUNNERS, "short.yaml")


def documented():
    """docs/json.md as {heading: {key: required}}: every table row `| `key` | type | words |`; optional keys say "optional"."""
    keys, heading = {}, None
    for line in support.read(os.path.join(support.SOURCE, "docs/json.md")).decode().split("\n"):
        if line.startswith("## "):
            heading = line[3:].strip("`")
            keys[heading] = {}
        elif match := re.match(r"\| `([a-z_]+)` \| ([^|]*) \|", line):
            keys[heading][match[1]] = "optional" not in match[2]
    return keys


class User(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = runner_python()
        cls.tiny = support.fixture("llama-llama-7b", os.path.join(cls.shared, "tiny"))
        # One row of the golden file, 16 tokens: what the device tests read is the whole.
        cls.ids = ids_file(os.path.join(cls.shared, "ids.safetensors"), [list(range(3, 19))])
        cls.out = os.path.join(cls.shared, "release")
        cls.migrated = run("migrate", MODEL, "--chip", "x86-64", "--format", "onnx", "--gate", SHORT, "--out", cls.out, timeout=300) if cls.python else None

    def need_engine(self):
        if not self.python:
            support.skip(self, "no Python with onnxruntime: run tools/install_deps")

    def copy(self, folder):
        target = self.path("copy")
        shutil.copytree(folder, target)
        return target

    def same_keys(self, heading, value):
        known = documented()[heading]
        self.assertLessEqual({key for key, required in known.items() if required}, set(value), heading)
        self.assertLessEqual(set(value), set(known), heading + ": not in docs/json.md")

    # Each verb

    def test_migrate_for_this_processor(self):
        self.need_engine()
        self.expect(self.migrated, 0, "ACCEPT on ort:cpu", "logits: nmse")
        files = set(os.listdir(self.out))
        self.assertLessEqual({"model", "manifest.json", "README.md", "report.json", "attestations", "logs"}, files)
        report = json.loads(support.read(os.path.join(self.out, "report.json")))
        self.assertEqual((report["verdict"], report["measured"]["on_target"]), ("ACCEPT", True))
        self.assertTrue(report["cases"] and report["environment"] and report["logs"])

    def test_migrate_for_another_chip(self):
        self.need_engine()
        result = run("migrate", self.tiny, "--chip", "ascend-910b3", "--format", "onnx", "--context", "16", "--gate", SHORT, cwd=self.folder)
        self.expect(result, 4, "UNPROVEN", "a stand-in for ascend-910b3", "not run: compile")
        self.assertEqual(os.listdir(self.folder), ["tiny-ascend-910b3-onnx-source"])
        self.expect(run("verify", self.path("tiny-ascend-910b3-onnx-source")), 0, "UNPROVEN for ascend-910b3")

    def test_unproven_builds(self):
        for words, code in ((["--validate", "none"], 0), (["--validate", "bytes"], 0), (["--device", "none"], 0)):
            out = self.path("-".join(words))
            self.expect(run("migrate", self.tiny, "--chip", "x86-64", "--out", out, *words), code, "UNPROVEN")
            report = json.loads(support.read(os.path.join(out, "report.json")))
            self.assertEqual((report["verdict"], report["cases"]), ("UNPROVEN", []))

    def test_plan(self):
        self.expect(run("plan", MODEL, "--chip", "ascend-910b3", "--format", "onnx"), 0, "for ascend-910b3 through atc", "weights", "the chip has 64")
        self.expect(run("plan", MODEL, "--chip", "x86-64"), 0, "FEASIBLE", "executed:")
        self.expect(run("plan", MODEL, "--chip", "ascend-910b3", "--format", "onnx", "--strict-plan"), 1, "INFEASIBLE", "operator ")
        self.expect(run("plan", MODEL, "--chip", "nvidia-a100", "--batch", "100000"), 1, "INFEASIBLE", "one chip has 80")

    def test_inspect(self):
        self.expect(run("inspect", MODEL), 0, "5.0 M parameters", "family qwen3", "model.layers.{n}.mlp.up_proj.weight BF16 [768, 256] x6")

    def test_pickled_checkpoints(self):
        """What torch.save wrote is a source as any other; the artefact has none of its files."""
        pickled = support.fixture("llama-llama-7b", self.path("pickled"), "--torch", "--shards", "2")
        self.expect(run("inspect", pickled), 0, "in 2 files", "family llama", "model.norm.weight BF16 [64]")
        recorded = os.path.join(support.SOURCE, "tests/weights/torch")
        result = run("inspect", os.path.join(recorded, "wrapped.bin"))
        self.expect(result, 0, "6 parameters", "a F32 [2, 3]", "no config.json")
        self.assertEqual(result.err.count("reads the tensors in 'state_dict'; not read: epoch (an integer)"), 1)
        self.expect(run("inspect", os.path.join(recorded, "legacy.bin")), 2, "torch before 1.6", "weights_only=True")
        self.expect(run("inspect", os.path.join(recorded, "module.bin")), 2, "names __main__.Model", "nothing is executed")
        out = self.path("out")
        words = ["--gate", SHORT] if self.python else ["--validate", "bytes"]
        self.expect(run("migrate", pickled, "--chip", "x86-64", "--out", out, *words), 0, "ACCEPT" if self.python else "UNPROVEN")
        self.assertEqual(sorted(os.listdir(os.path.join(out, "model"))), ["config.json", "model.onnx", "model.onnx.data", "pipeline.json"])
        self.expect(run("verify", out), 0)

    def test_run_and_golden(self):
        """A file that `run` writes is a golden file, for the reference and for the artefact; one changed tensor is found."""
        golden = self.path("golden.safetensors")
        self.expect(run("run", MODEL, "--device", "reference", "--inputs", self.ids, "--out", golden, "--taps"), 0, golden)
        names = set(read_safetensors(golden)[0])
        self.assertLessEqual({"input_ids", "logits", "hidden.0", "hidden.6", "model.layers.3", "model.layers.3.self_attn"}, names)
        self.expect(run("validate", MODEL, "--golden", golden, "--device", "reference"), 0, "PASS", "hidden.6")
        broken = self.copy(MODEL)
        header, data = read_safetensors(os.path.join(broken, "model.safetensors"))
        begin, end = header["model.layers.3.mlp.up_proj.weight"]["data_offsets"]
        changed = bytearray(data)
        changed[begin + 1:end:2] = bytes(byte ^ 0x80 for byte in changed[begin + 1:end:2])
        write_safetensors(os.path.join(broken, "model.safetensors"), header, bytes(changed))
        self.expect(run("validate", broken, "--golden", golden, "--device", "reference"), 1, "REGRESSION", "first outside: model.layers.3.mlp")
        self.expect(run("validate", broken, "--golden", GOLDEN, "--device", "reference"), 1, "REGRESSION")
        if self.python:
            self.expect(run("validate", self.out, "--golden", golden, "--device", "ort:cpu"), 0, "PASS", "logits", "not compared")
            write_safetensors(golden, *self.scaled(golden, "logits"))
            self.expect(run("validate", self.out, "--golden", golden, "--device", "ort:cpu"), 1, "REGRESSION", "logits")

    def scaled(self, path, name):
        """The file with the sign of every second number of one tensor changed."""
        header, data = read_safetensors(path)
        begin, end = header[name]["data_offsets"]
        changed = bytearray(data)
        changed[begin + 3:end:8] = bytes(byte ^ 0x80 for byte in changed[begin + 3:end:8])
        return header, bytes(changed)

    def test_golden_of_transformers(self):
        result = run("validate", MODEL, "--golden", GOLDEN, "--device", "reference", "--json")
        self.expect(result, 0)
        answer = result.json()
        self.assertEqual((answer["verdict"], answer["device"]), ("PASS", "reference"))
        self.assertEqual({output["name"] for output in answer["outputs"]}, {"logits", "hidden.0", "hidden.3", "hidden.6"})
        rows = [(entry["check"], entry["reason"]) for entry in answer["not_run"]]
        self.assertEqual(len(rows), len(set(rows)), rows)

    def test_run_of_the_artefact(self):
        """The continuation of the migrated model is that of transformers."""
        self.need_engine()
        result = run("run", self.out, "--device", "ort:cpu", "--prompt-ids", GOLDEN, "--greedy", "32")
        self.expect(result, 0, "equal to `greedy` of the file", "cherubims of gold")
        out = self.path("outputs.safetensors")
        self.expect(run("run", self.out, "--device", "ort:cpu", "--inputs", self.ids, "--out", out), 0)
        self.assertIn("logits", read_safetensors(out)[0])

    def test_validate_against(self):
        self.need_engine()
        copy = self.copy(self.out)
        before = support.artefact(copy)
        self.expect(run("validate", copy, "--against", MODEL, "--device", "ort:cpu", "--gate", SHORT), 0, "ACCEPT on ort:cpu")
        self.assertEqual(support.artefact(copy), before)
        self.assertEqual(len(os.listdir(os.path.join(copy, "attestations"))), 2)
        other = self.copy_of_source_with_one_tensor_changed()
        self.expect(run("validate", copy, "--against", other, "--device", "ort:cpu", "--gate", SHORT), 1)

    def copy_of_source_with_one_tensor_changed(self):
        other = self.path("other")
        shutil.copytree(MODEL, other)
        flip(os.path.join(other, "model.safetensors"), -1)
        return other

    def test_one_byte_of_the_artefact(self):
        """Each file of the manifest: a changed byte, a cut, and its loss."""
        out = self.path("out")
        self.expect(run("migrate", self.tiny, "--chip", "x86-64", "--out", out, "--validate", "bytes"), 0)
        self.expect(run("verify", out), 0, "verified: 4 files", "UNPROVEN for x86-64 on no device")
        for name in [file["path"] for file in json.loads(support.read(os.path.join(out, "manifest.json")))["files"]]:
            path = os.path.join(out, name)
            good = support.read(path)
            for what, change in (("flip", lambda: flip(path, len(good) // 2)), ("cut", lambda: os.truncate(path, len(good) - 1)), ("loss", lambda: os.remove(path))):
                with self.subTest(name=name, what=what):
                    change()
                    result = self.expect(run("verify", out), 1, name, "note: ")
                    self.assertNotIn("UNPROVEN for", result.out, "a statement about other bytes")
                    result = run("verify", out, "--json")
                    self.assertEqual((result.code, result.json()["verified"], result.json()["attestations"]), (1, False, []))
                    self.expect(run("validate", out, "--against", self.tiny, "--validate", "bytes"), 1, name)
                    self.assertEqual(len(os.listdir(os.path.join(out, "attestations"))), 1, "a statement about bytes that are not the manifest's")
                support.write(path, good)
        self.expect(run("verify", out), 0, "verified")

    def test_rejected_artefact(self):
        """Numbers outside: exit 1, manifest.rejected.json, which verify reads too; a later ACCEPT on the same bytes is the newer word."""
        self.need_engine()
        out = self.path("out")
        devices = support.write(self.path("devices.yaml"), "devices:\n  - {name: wrong, chip: x86-64, runner: %s/distorts.py, env: {HOW: scaled, RUNNERS: %s}}\n"
                                % (support.RUNNERS, os.path.join(support.SOURCE, "devices/runners")))
        words = ["--chip", "x86-64", "--gate", SHORT, "--devices", devices]
        self.expect(run("migrate", self.tiny, *words, "--out", out), 1, "REGRESSION on wrong")
        self.assertFalse(os.path.exists(os.path.join(out, "manifest.json")))
        self.expect(run("verify", out), 1, "REGRESSION for x86-64 on wrong")
        before = support.tree(out)
        self.expect(run("migrate", self.tiny, *words, "--out", out), 1, "REGRESSION", "nothing was done")
        self.assertEqual(support.tree(out), before)
        self.expect(run("migrate", self.tiny, *words, "--device", "ort:cpu", "--out", out), 0, "ACCEPT on ort:cpu")
        self.assertFalse(os.path.exists(os.path.join(out, "manifest.rejected.json")))
        self.expect(run("verify", out), 0, "ACCEPT for x86-64 on ort:cpu")
        self.expect(run("validate", out, "--against", self.tiny, "--device", "wrong", "--devices", devices, "--gate", SHORT), 1, "REGRESSION")
        self.expect(run("verify", out), 1, "REGRESSION for x86-64 on wrong")

    def test_list_check_doctor(self):
        for topic, name in (("chips", "ascend-910b3"), ("models", "qwen3"), ("formats", "onnx"), ("devices", "ort:cpu"), ("ops", "attention"), ("schemes", "fp16")):
            self.expect(run("list", topic), 0, name)
            rows = run("list", topic, "--json").json()
            self.assertIn(name, [row["name"] for row in rows])
            for row in rows:
                self.same_keys("list", row)
        self.expect(run("check", os.path.join(support.SOURCE, "recipes")), 0, "model recipes", "no problem")
        self.expect(run("check"), 0, "no problem")
        result = run("doctor")
        self.expect(result, 0 if self.python else 3, "recipes", "device ort:cpu")
        self.expect(run("doctor", env={"FLAGRELEASE_PYTHON": "/nonexistent/python"}), 3, "missing", "tools/install_deps")
        # Engines that are optional: said, and no reason to fail.
        nowhere = {"FLAGRELEASE_PYTHON_" + name: "/nonexistent/python" for name in ("TRANSFORMERS", "LLAMA_CPP", "VLLM")}
        self.expect(run("doctor", env=nowhere), 0 if self.python else 3, "absent  device transformers:cpu", "absent  device llama.cpp:cpu", "absent  device vllm:cpu")
        devices = self.expect(run("list", "devices"), 0).out
        self.assertRegex(devices, r"vllm:cpu.*format hf, T2")
        self.assertRegex(devices, r"llama\.cpp:cpu.*format gguf, T1")

    # Words about itself

    def test_version_and_help(self):
        self.assertRegex(self.expect(run("--version"), 0).out, r"^flagrelease \d+\.\d+\.\d+\n$")
        text = self.expect(run("--help"), 0).out
        for verb in VERBS:
            self.assertIn(verb, text)
            own = self.expect(run(verb, "--help"), 0).out
            # Formats, hubs and steps that nobody can ask for yet.
            for absent in ("fetch", "publish", "conformance", "native", "hf://", "ms://", "perplexity", "serve", "todo"):
                self.assertNotIn(absent, own.lower(), verb)
            # An option without words is no help: they stand behind it, or on the next line where it is long.
            lines = own.split("\n")
            for i, line in enumerate(lines):
                if re.match(r"  (-\S,)?--\S", line):
                    self.assertTrue(re.search(r"\S {2,}\S", line) or re.match(r" {20,}\S", lines[i + 1]), (verb, line))

    def test_progress(self):
        out = self.path("out")
        words = ["migrate", self.tiny, "--chip", "x86-64", "--validate", "bytes"]
        events = [json.loads(line) for line in run(*words, "--out", out, "--progress", "json").err.splitlines()]
        self.assertEqual([event["event"] for event in events], ["stage"] * len(events))
        self.assertGreater(len(events), 2)
        for event in events:
            self.same_keys("--progress json", event)
        for how in ("auto", "bar"):
            result = self.expect(run(*words, "--out", self.path(how), "--progress", how), 0)
            self.assertIn("  plan for x86-64", result.err)
        self.assertEqual(run(*words, "--out", self.path("quiet"), "--quiet").err, "")

    # JSON

    def test_json(self):
        out = self.path("out")
        migrate = ["migrate", self.tiny, "--chip", "x86-64", "--out", out, "--validate", "bytes", "--json"]
        ids = ids_file(self.path("ids"), [[1, 2, 3]])
        golden = self.path("golden.safetensors")
        rows = [
            ("migrate and validate", migrate, 0),
            ("migrate and validate", migrate, 0),
            ("migrate and validate", ["validate", out, "--against", self.tiny, "--validate", "bytes", "--json"], 0),
            ("plan", ["plan", self.tiny, "--chip", "x86-64", "--json"], 0),
            ("plan", ["plan", self.tiny, "--chip", "ascend-910b3", "--format", "onnx", "--strict-plan", "--json"], 1),
            ("migrate and validate", ["migrate", self.tiny, "--chip", "ascend-910b3", "--format", "onnx", "--strict-plan", "--out", self.path("no"), "--json"], 1),
            ("inspect", ["inspect", self.tiny, "--json"], 0),
            ("run", ["run", self.tiny, "--device", "reference", "--inputs", ids, "--out", golden, "--json"], 0),
            ("run", ["run", self.tiny, "--device", "reference", "--prompt-ids", ids, "--greedy", "3", "--json"], 0),
            ("migrate and validate", ["validate", self.tiny, "--golden", golden, "--json"], 0),
            ("verify", ["verify", out, "--json"], 0),
            ("check", ["check", "--json"], 0),
        ]
        for heading, words, code in rows:
            with self.subTest(" ".join(words[:3])):
                result = run(*words)
                self.expect(result, code)
                self.assertEqual(result.out.count("\n"), 1, result)
                self.same_keys(heading, result.json())
        self.assertFalse(os.path.exists(self.path("no")), "an infeasible plan wrote something")
        for row in run("doctor", "--json").json():
            self.same_keys("doctor", row)
        # What cannot be answered is no JSON, and not half of one.
        self.assertEqual(run("plan", self.tiny, "--chip", "nothing", "--json").out, "")


if __name__ == "__main__":
    support.main()
