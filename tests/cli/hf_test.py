"""The format hf, command by command: what is in the folder, read back by a parser of its own; shards, restarts, config spellings, what is left behind."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess

import support
from support import Case, artefact, flip, read, read_safetensors, run, write, write_safetensors

EXAMPLE = os.path.join(support.SOURCE, "examples/models/kjv-qwen3-5m")
HF = ("--chip", "x86-64", "--format", "hf")
BYTES = (*HF, "--validate", "bytes")
WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}


def tensors_of(folder):
    """name -> (dtype, shape, bytes) of all safetensors files of a folder; what their headers must keep to is asserted."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        header, data = read_safetensors(os.path.join(folder, name))
        assert header.pop("__metadata__") == {"format": "pt"}, name
        end = 0
        for tensor, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            begin, stop = entry["data_offsets"]
            count = 1
            for size in entry["shape"]:
                count *= size
            assert begin == end and stop - begin == count * WIDTH[entry["dtype"]], (name, tensor, "holes or sizes")
            assert tensor not in found, (tensor, "is in two files")
            found[tensor] = entry["dtype"], entry["shape"], data[begin:stop]
            end = stop
        assert end == len(data), (name, "has bytes behind its tensors")
    return found


def floats(dtype, data):
    """The numbers of a tensor as bits of fp32, by the definition of the formats."""
    if dtype == "F32":
        return list(struct.unpack("<%dI" % (len(data) // 4), data))
    halves = struct.unpack("<%dH" % (len(data) // 2), data)
    if dtype == "BF16":
        return [half << 16 for half in halves]
    return [struct.unpack("<I", struct.pack("<f", struct.unpack("<e", struct.pack("<H", half))[0]))[0] for half in halves]


def to_bf16(bits):
    """Nearest, ties to even; for finite numbers."""
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16


class Hf(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = support.fixture("llama-llama-7b", os.path.join(cls.shared, "llama"))
        cls.two = support.fixture("llama-llama-7b", os.path.join(cls.shared, "two"), "--shards", "2")
        cls.tied = support.fixture("qwen2-qwen2.5-0.5b", os.path.join(cls.shared, "tied"))
        cls.wide = support.fixture("qwen3-qwen3-0.6b", os.path.join(cls.shared, "wide"), "--store", "F32")

    def setUp(self):
        super().setUp()
        self.out = self.path("out")
        self.model = self.path("out/model")

    def migrate(self, source, *words, code=0, says=(), **options):
        return self.expect(run("migrate", source, "--out", self.out, *(words or BYTES), **options), code, *says)

    def copy(self, source, **changes):
        """A copy of a checkpoint, its config.json changed (None: the key goes)."""
        folder = self.path("source")
        shutil.copytree(source, folder)
        path = os.path.join(folder, "config.json")
        config = json.loads(read(path))
        for key, value in changes.items():
            config.pop(key, None)
            if value is not None:
                config[key] = value
        if changes:
            write(path, json.dumps(config, indent=4))
        return folder

    # What is written

    def test_unchanged(self):
        """Every byte of the model is the source's."""
        self.migrate(EXAMPLE, says=["UNPROVEN"])
        for name in ("model.safetensors", "config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"):
            self.assertEqual(read(os.path.join(self.model, name)), read(os.path.join(EXAMPLE, name)), name)
        self.assertNotIn("model.onnx", os.listdir(self.model))
        manifest = json.loads(read(self.path("out/manifest.json")))
        self.assertEqual(manifest["build"]["source"]["left_out"], [{"name": "README.md", "reason": "not on the list of files that consumers read"}])
        self.assertEqual({tensor["expression"] for tensor in manifest["tensors"]}, {"identity"})
        self.assertEqual(len(manifest["tensors"]), len(tensors_of(EXAMPLE)))
        pipeline = json.loads(read(os.path.join(self.model, "pipeline.json")))
        self.assertEqual((pipeline["task"], pipeline["vocab_size"], pipeline["kv_cache"], pipeline["files"]), ("causal_lm", 2048, "engine", ["config.json", "model.safetensors"]))
        report = json.loads(read(self.path("out/report.json")))
        self.assertEqual(report["operators"]["reason"], "the engine owns the graph: operators not checked")
        self.assertEqual(report["lineage"]["source"]["left_out"][0]["name"], "README.md")

    def test_links(self):
        self.migrate(self.two, *BYTES, "--link")
        for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
            self.assertTrue(os.path.samefile(os.path.join(self.two, name), os.path.join(self.model, name)), name)
        self.expect(run("verify", self.out), 0)

    def test_casts(self):
        """Every number by the definition of its format; order, names and alignment as transformers' own files."""
        for source, scheme, dtype, word in ((self.two, "fp32", "F32", "float32"), (self.wide, "bf16", "BF16", "bfloat16"), (self.wide, "fp16", "F16", "float16"),
                                            (EXAMPLE, "fp16", "F16", "float16")):
            with self.subTest(scheme=scheme, source=os.path.basename(source)):
                shutil.rmtree(self.out, ignore_errors=True)
                self.migrate(source, *BYTES, "--scheme", scheme)
                content = read(os.path.join(self.model, "model.safetensors"))
                length = struct.unpack("<Q", content[:8])[0]
                self.assertEqual((8 + length) % 4096, 0)
                self.assertTrue(content[8:8 + length].rstrip(b" ").endswith(b"}"))
                before, after = tensors_of(source), tensors_of(self.model)
                self.assertEqual(list(before), list(after))
                for name, (old, shape, data) in before.items():
                    self.assertEqual((dtype, shape), after[name][:2], name)
                    bits, now = floats(old, data), floats(dtype, after[name][2])
                    if dtype == "F32":
                        self.assertEqual(bits, now, name)
                    elif dtype == "BF16":
                        self.assertEqual([to_bf16(b) << 16 for b in bits], now, name)
                    else:
                        values = struct.unpack("<%df" % len(bits), struct.pack("<%dI" % len(bits), *bits))
                        self.assertEqual(struct.pack("<%de" % len(values), *values), after[name][2], name)
                self.assertEqual(json.loads(read(os.path.join(self.model, "config.json")))["torch_dtype"], word)
                self.expect(run("verify", self.out), 0, "verified")
                self.expect(run("validate", self.out, "--against", source, "--validate", "bytes"), 0, "UNPROVEN")

    def test_config_spellings(self):
        for changes, expected in (({"torch_dtype": "bfloat16"}, {"torch_dtype": "float16"}), ({"torch_dtype": None, "dtype": "bfloat16"}, {"dtype": "float16"}),
                                  ({"torch_dtype": None}, {"torch_dtype": "float16"}), ({"dtype": "bfloat16", "torch_dtype": "bfloat16"}, {"dtype": "float16", "torch_dtype": "float16"})):
            with self.subTest(changes):
                for folder in (self.out, self.path("source")):
                    shutil.rmtree(folder, ignore_errors=True)
                source = self.copy(self.plain, **changes)
                self.migrate(source, *BYTES, "--scheme", "fp16")
                before, after = (read(os.path.join(folder, "config.json")).decode() for folder in (source, self.model))
                self.assertEqual({key: value for key, value in json.loads(after).items() if "dtype" in key}, expected)
                # Nothing else moved: the lines that differ are those of the dtype.
                plain = lambda text: [line.rstrip(",") for line in text.split("\n") if "dtype" not in line]
                self.assertEqual(plain(before), plain(after))

    def test_tied(self):
        """A head that is the embedding stays absent."""
        self.migrate(self.tied, *BYTES, "--scheme", "fp32")
        self.assertEqual(set(tensors_of(self.tied)), set(tensors_of(self.model)))
        self.assertNotIn("lm_head.weight", tensors_of(self.model))

    def test_ignored_tensors_stay(self):
        """What the graph does not read is a tensor of the checkpoint all the same."""
        source = self.copy(self.plain)
        header, data = read_safetensors(os.path.join(source, "model.safetensors"))
        extra = struct.pack("<4f", 1, 2, 3, 4)
        header["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"dtype": "F32", "shape": [4], "data_offsets": [len(data), len(data) + 16]}
        write_safetensors(os.path.join(source, "model.safetensors"), header, data + extra)
        self.migrate(source, *BYTES, "--scheme", "fp32")
        self.assertEqual(tensors_of(self.model)["model.layers.0.self_attn.rotary_emb.inv_freq"], ("F32", [4], extra))
        self.assertEqual(set(tensors_of(self.model)), set(tensors_of(source)))

    # Shards

    def test_shards(self):
        sizes = {name: len(data) * 2 for name, (_, _, data) in tensors_of(self.plain).items()}  # bf16 becomes fp32
        total, largest = sum(sizes.values()), max(sizes.values())
        for size in (total + 1, total, total - 1, total // 2, largest, largest - 1, 1):
            with self.subTest(size=size, total=total):
                shutil.rmtree(self.out, ignore_errors=True)
                self.migrate(self.plain, *BYTES, "--scheme", "fp32", "--shard-size", str(size))
                files = sorted(name for name in os.listdir(self.model) if name.endswith(".safetensors"))
                if size >= total:
                    self.assertEqual(files, ["model.safetensors"])
                    self.assertFalse(os.path.exists(os.path.join(self.model, "model.safetensors.index.json")))
                    continue
                self.assertEqual(files, ["model-%05d-of-%05d.safetensors" % (i + 1, len(files)) for i in range(len(files))])
                index = json.loads(read(os.path.join(self.model, "model.safetensors.index.json")))
                self.assertEqual(index["metadata"]["total_size"], total)
                self.assertEqual(list(index["weight_map"]), list(sizes), "not in the order of the source")
                held = {}
                for name, file in index["weight_map"].items():
                    self.assertIn(name, read_safetensors(os.path.join(self.model, file))[0])
                    held.setdefault(file, []).append(sizes[name])
                self.assertEqual(sorted(held), files)
                for file, parts in held.items():
                    self.assertTrue(sum(parts) <= size or len(parts) == 1, file)
                # No file could have taken the first tensor of the next.
                for one, other in zip(files, files[1:]):
                    self.assertGreater(sum(held[one]) + held[other][0], size, one)
                whole = tensors_of(self.model)
                self.assertEqual(whole, {name: ("F32", shape, struct.pack("<%dI" % (len(data) // 2), *floats("BF16", data))) for name, (_, shape, data) in tensors_of(self.plain).items()})
                self.expect(run("validate", self.out, "--against", self.plain, "--validate", "bytes"), 0)

    def test_files_of_the_source(self):
        """Unchanged files stay unless a size is asked for that they do not keep to; then their tensors are the same still."""
        self.migrate(self.two)
        self.assertEqual({name: read(os.path.join(self.model, name)) for name in os.listdir(self.two) if "-of-" in name},
                         {name: read(os.path.join(self.model, name)) for name in os.listdir(self.model) if "-of-" in name})
        shutil.rmtree(self.out)
        self.migrate(self.two, *BYTES, "--shard-size", "40k")
        self.assertGreater(len([name for name in os.listdir(self.model) if "-of-" in name]), 2)
        self.assertEqual(tensors_of(self.model), tensors_of(self.two))
        shutil.rmtree(self.out)
        source = self.copy(self.plain)
        os.rename(os.path.join(source, "model.safetensors"), os.path.join(source, "weights.safetensors"))
        self.migrate(source)
        self.assertEqual(read(os.path.join(self.model, "model.safetensors")), read(os.path.join(self.plain, "model.safetensors")))

    def test_refused(self):
        rows = (
            (["--shard-size", "0"], 2, ["--shard-size", "holds nothing"]),
            (["--shard-size", "five"], 2, ["--shard-size", "five"]),
            (["--shard-size", "-1GB"], 2, ["--shard-size"]),
            (["--shard-size", "1.5"], 2, ["--shard-size"]),
            (["--shard-size", ""], 2, ["--shard-size"]),
            (["--shard-size"], 2, ["--shard-size"]),
            (["--format", "onnx", "--shard-size", "1GB"], 2, ["--shard-size", "has no shards", "leave --shard-size out"]),
            (["--kv-cache", "dynamic"], 2, ["--kv-cache", "transformers keeps its own cache"]),
            (["--kv-cache", "none"], 2, ["--kv-cache"]),
        )
        for words, code, says in rows:
            with self.subTest(words):
                result = run("migrate", self.plain, "--chip", "x86-64", *(["--format", "hf"] if "--format" not in words else []), "--out", self.out, *words)
                self.expect(result, code, *says)
                self.assertFalse(os.path.exists(self.out))

    def test_range(self):
        """A number that fp16 cannot hold: no, also when it is asked again."""
        source = self.copy(self.plain)
        path = os.path.join(source, "model.safetensors")
        header, data = read_safetensors(path)
        begin, _ = header["model.layers.1.mlp.down_proj.weight"]["data_offsets"]
        write_safetensors(path, header, data[:begin] + b"\x80\x47" + data[begin + 2:])  # 65536
        for _ in range(2):
            self.migrate(source, *BYTES, "--scheme", "fp16", code=1, says=["model.layers.1.mlp.down_proj.weight", "65536", "--allow-range-loss"])
            self.assertNotIn("manifest.json", os.listdir(self.out))
        self.migrate(source, *BYTES, "--scheme", "fp16", "--allow-range-loss")
        self.assertEqual(tensors_of(self.model)["model.layers.1.mlp.down_proj.weight"][2][:2], b"\x00\x7c")

    # What goes along, and what does not

    def test_left_out(self):
        source = self.copy(self.plain, auto_map={"AutoConfig": "modeling.Config"})
        write(self.path("source/modeling.py"), "raise SystemExit(1)")
        write(self.path("source/pytorch_model.bin"), "PK")
        write(self.path("source/tokenizer.json"), "{}")
        write(self.path("source/LICENSE"), "mine")
        write(self.path("secret"), "secret")
        os.symlink(self.path("secret"), self.path("source/vocab.json"))
        for format in ("hf", "onnx"):
            with self.subTest(format):
                shutil.rmtree(self.out, ignore_errors=True)
                self.migrate(source, "--chip", "x86-64", "--validate", "bytes", "--format", format, "--assume-inert", "auto_map")
                left = json.loads(read(self.path("out/manifest.json")))["build"]["source"]["left_out"]
                self.assertEqual({entry["name"]: entry["reason"] for entry in left}, {"modeling.py": "code", "pytorch_model.bin": "a pickle",
                                 "vocab.json": "a link out of the source", "config.json: auto_map": "names code"})
                names = set(os.listdir(self.model))
                self.assertLessEqual({"config.json", "tokenizer.json", "LICENSE"}, names)
                self.assertFalse(names & {"modeling.py", "pytorch_model.bin", "vocab.json"})
                self.assertNotIn("auto_map", json.loads(read(os.path.join(self.model, "config.json"))))
        write(self.path("source/tokenizer.json"), '{"version": "2"}')
        self.migrate(source, "--chip", "x86-64", "--validate", "bytes", "--format", "onnx", "--assume-inert", "auto_map", code=2, says=["files beside the weights", "--force"])

    def test_serve(self):
        """The script starts the engine on the folder, wherever that lies, with the arguments that were pinned."""
        words = {}
        for chip, engine in (("x86-64", "transformers"), ("nvidia-a100", "vllm"), ("ascend-910b3", "vllm")):
            with self.subTest(chip):
                shutil.rmtree(self.out, ignore_errors=True)
                self.migrate(self.plain, "--chip", chip, "--format", "hf", "--device", "none", "--scheme", "fp16", "--context", "64")
                moved = self.path("a b", chip)
                shutil.copytree(self.out, moved)
                fake = write(self.path("bin", engine), '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
                os.chmod(fake, 0o755)
                answer = subprocess.run(["sh", os.path.join(moved, "serve/serve.sh"), "--more"], env={"PATH": self.path("bin") + ":/usr/bin:/bin"}, capture_output=True, text=True, check=True)
                words[chip] = answer.stdout.split("\n")[:-1]
                self.assertEqual(words[chip][:2], ["serve", os.path.join(moved, "model")])
                self.assertEqual(words[chip][words[chip].index("--dtype") + 1], "float16")
                self.assertEqual(words[chip][-1], "--more")
                listed = {entry["path"] for entry in json.loads(read(self.path("out/manifest.json")))["files"]}
                self.assertEqual({name for name in listed if name.startswith("serve/")}, {"serve/" + name for name in os.listdir(self.path("out/serve"))})
                image = os.path.join(moved, "serve/Containerfile")
                if os.path.exists(image):
                    self.assertTrue(re.search(r"^FROM \S+:\S+$", read(image).decode(), re.M))
                else:
                    self.assertIn("is pinned: no source", read(os.path.join(moved, "serve/serve.sh")).decode())
                flip(self.path("out/serve/serve.sh"), -3)
                self.expect(run("verify", self.out), 1, "serve/serve.sh")
        self.assertEqual(words["ascend-910b3"][words["ascend-910b3"].index("--max-model-len") + 1], "64")

    # Plan, verdicts

    def test_plan(self):
        owns = "the engine owns the graph: operators not checked"
        self.expect(run("plan", EXAMPLE, *HF), 0, "FEASIBLE", "through transformers", owns, "format hf, scheme source, cache engine")
        self.expect(run("plan", EXAMPLE, "--chip", "ascend-910b3"), 0, "FEASIBLE", "through vllm-ascend", owns, "the chip has 64")
        self.expect(run("plan", EXAMPLE, "--chip", "nvidia-a100", "--format", "hf", "--batch", "100000"), 1, "INFEASIBLE", "one chip has 80")
        classifier = support.fixture("qwen3-sequence-classification", self.path("classifier"))
        self.expect(run("plan", classifier, "--chip", "nvidia-a100", "--format", "hf"), 0, "LIKELY", "Qwen3ForSequenceClassification is not recorded")
        self.expect(run("plan", classifier, "--chip", "nvidia-a100", "--format", "hf", "--strict-plan"), 1, "INFEASIBLE", "is not recorded")
        answer = run("plan", EXAMPLE, *HF, "--json").json()
        self.assertEqual((answer["verdict"], answer["operators"], answer["kv_cache"]), ("FEASIBLE", [], "engine"))

    def test_a_type_that_the_chip_does_not_have(self):
        source = self.copy(self.plain)
        path = os.path.join(source, "model.safetensors")
        header, data = read_safetensors(path)
        begin, end = header["model.norm.weight"]["data_offsets"]
        # Behind the others, as 8-bit floats.
        del header["model.norm.weight"]
        moved, at = {}, 0
        parts = b""
        for name, entry in header.items():
            if name == "__metadata__":
                moved[name] = entry
                continue
            piece = data[entry["data_offsets"][0]:entry["data_offsets"][1]]
            moved[name] = {**entry, "data_offsets": [at, at + len(piece)]}
            parts, at = parts + piece, at + len(piece)
        count = (end - begin) // 2
        moved["model.norm.weight"] = {"dtype": "F8_E4M3", "shape": [count], "data_offsets": [at, at + count]}
        write_safetensors(path, moved, parts + b"\x38" * count)
        self.expect(run("plan", source, "--chip", "ascend-910b3", "--format", "hf"), 2, "vllm-ascend on ascend-910b3 cannot load F8_E4M3", "model.norm.weight", "--scheme bf16")
        self.expect(run("plan", source, "--chip", "nvidia-a100", "--format", "hf"), 0)
        self.migrate(source, "--chip", "ascend-910b3", "--format", "hf", "--scheme", "bf16", "--device", "none")
        self.assertEqual(tensors_of(self.model)["model.norm.weight"], ("BF16", [count], b"\x80\x3f" * count))

    def test_verdict_without_a_device(self):
        """Nobody here has the chip: built, bytes compared, and said so."""
        self.migrate(self.plain, "--chip", "ascend-910b3", "--format", "hf", code=4, says=["UNPROVEN", "no device of chip ascend-910b3"])
        self.migrate(self.plain, "--chip", "ascend-910b3", "--format", "hf", code=4, says=["nothing was done"])
        self.migrate(self.plain, "--chip", "ascend-910b3", "--format", "hf", "--device", "none", says=["UNPROVEN"])
        self.expect(run("validate", self.out, "--against", self.plain), 4, "UNPROVEN")
        shutil.rmtree(self.out)
        result = run("migrate", self.plain, *HF, "--out", self.out)
        self.assertIn(result.code, (0, 4), result)  # by whether a runner of transformers is installed
        self.assertIn("ACCEPT on " if result.code == 0 else "UNPROVEN", result.out)

    def test_default_name(self):
        self.expect(run("migrate", self.plain, *BYTES, "--scheme", "fp16", cwd=self.folder), 0)
        self.assertEqual(os.listdir(self.folder), ["llama-x86-64-hf-fp16"])

    def test_listed(self):
        self.expect(run("list", "formats"), 0, "hf", "safetensors with config and tokenizer")

    def test_tampered(self):
        self.migrate(self.two, *BYTES, "--scheme", "fp32", "--shard-size", "100k")
        shard = os.path.join(self.model, "model-00002-of-%05d.safetensors" % len([name for name in os.listdir(self.model) if "-of-" in name]))
        flip(shard, -1)
        self.expect(run("verify", self.out), 1, os.path.basename(shard))
        self.expect(run("validate", self.out, "--against", self.two, "--validate", "bytes"), 1, os.path.basename(shard))

    # Again

    def test_same_bytes(self):
        words = (*BYTES, "--scheme", "fp16", "--shard-size", "64k")
        self.migrate(self.two, *words)
        expected = artefact(self.out)
        self.assertTrue([name for name in expected if name.startswith("serve/")])
        for what, more, env in (("jobs 1", ["--jobs", "1"], {}), ("jobs 2", ["--jobs", "2"], {}), ("jobs 8", ["--jobs", "8"], {}), ("memory", ["--memory", "64MiB"], {}),
                                ("plain", [], {"FLAGRELEASE_CPU": "plain"}), ("home, zone", [], {"HOME": "/nonexistent", "TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8"})):
            with self.subTest(what):
                other = self.path(what)
                self.expect(run("migrate", self.two, "--out", other, *words, *more, env=env, umask=0o077 if env else -1), 0)
                self.assertEqual(artefact(other), expected)

    def test_states(self):
        words = (*BYTES, "--scheme", "fp32", "--shard-size", "64k")
        self.migrate(self.plain, *words)
        before = support.tree(self.out)
        self.migrate(self.plain, *words, says=["nothing was done"])
        self.assertEqual(support.tree(self.out), before)
        for other in ((*words[:-1], "65k"), (*BYTES, "--scheme", "fp32"), (*words, "--context", "17")):
            self.migrate(self.plain, *other, code=2, says=["--force"])
        self.migrate(self.plain, *BYTES, "--scheme", "fp32", "--force")
        self.assertEqual([name for name in os.listdir(self.model) if name.endswith("safetensors")], ["model.safetensors"])
        self.expect(run("verify", self.out), 0)

    def test_killed(self):
        """At each step that writes files: the next run gives the bytes of one that was left alone."""
        words = (*BYTES, "--scheme", "fp32", "--shard-size", "100k", "--quiet")
        self.expect(run("migrate", self.two, "--out", self.path("whole"), *words), 0)
        whole = artefact(self.path("whole"))
        for point in ("journal-torn-append", "file-after-begin", "file-before-rename", "file-after-rename", "stream-tile", "manifest-before-rename"):
            for at in (1, 3):
                with self.subTest(point=point, at=at):
                    shutil.rmtree(self.out, ignore_errors=True)
                    result = run("migrate", self.two, "--out", self.out, *words, env={"FLAGRELEASE_FAIL_POINT": "%s@%d" % (point, at)})
                    if result.code == 0:
                        continue
                    self.assertEqual(result.code, -signal.SIGKILL, result)
                    self.migrate(self.two, *words)
                    self.assertEqual(artefact(self.out), whole)


if __name__ == "__main__":
    support.main()
