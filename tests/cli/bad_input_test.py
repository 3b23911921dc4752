"""Bad input, as a user meets it: the exit code, a message with place, value and remedy, and nothing half-written. One row per mistake."""
import json
import os
import shutil
import struct
import time

import support
from support import Refusing, read_safetensors, run, runner_python, write, write_safetensors

MODEL = "model.safetensors"
Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
NORM = "model.norm.weight"


def header(change):
    """Breaks the header of model.safetensors; `change` gets the mapping and the size of the data."""
    def apply(folder):
        path = os.path.join(folder, MODEL)
        head, data = read_safetensors(path)
        changed = change(head, len(data))
        write_safetensors(path, head if changed is None else changed, data)
    return apply


def entry(name, **values):
    return header(lambda head, size: head[name].update(values))


def config(**values):
    """Changes config.json; None removes the key (use `raw` for null)."""
    def apply(folder):
        path = os.path.join(folder, "config.json")
        content = json.loads(support.read(path))
        for key, value in values.items():
            if value is None:
                del content[key]
            else:
                content[key] = value
        write(path, json.dumps(content, indent=1))
    return apply


def raw(name, content):
    return lambda folder: write(os.path.join(folder, name), content)


def index(change):
    """Changes the index of the sharded checkpoint."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors.index.json")
        content = json.loads(support.read(path))
        change(content["weight_map"])
        write(path, json.dumps(content))
    return apply


def truncate(name, size):
    return lambda folder: os.truncate(os.path.join(folder, name), size)


def whole(text):
    """The file is nothing but a length and this header."""
    return lambda folder: write_safetensors(os.path.join(folder, MODEL), text, b"")


def rename(old, new):
    def change(head, size):
        head[new] = head.pop(old)
    return header(change)


def duplicate(folder):
    path = os.path.join(folder, MODEL)
    head, data = read_safetensors(path)
    text = json.dumps(head)
    write_safetensors(path, text[:-1] + ", " + json.dumps(NORM) + ": " + json.dumps(head[NORM]) + "}", data)


def twice(folder):
    """A second file that holds a tensor of the first."""
    shutil.copy(os.path.join(folder, "model-00001-of-00002.safetensors"), os.path.join(folder, "model-00003-of-00002.safetensors"))
    os.remove(os.path.join(folder, "model.safetensors.index.json"))


def extra(head, size):
    head["model.layers.0.extra.weight"] = {"dtype": "BF16", "shape": [0], "data_offsets": [size, size]}


def overlap(head, size):
    begin, end = head[NORM]["data_offsets"]
    head[NORM]["data_offsets"] = [begin - 2, end - 2]


SHARD = "model-00002-of-00002.safetensors"
ROPE = {"rope_type": "linaer", "factor": 2.0}

# what, sharded?, how it is broken, words of the message
CHECKPOINTS = [
    ("missing shard", True, lambda folder: os.remove(os.path.join(folder, SHARD)), [SHARD, "is not there", "model.safetensors.index.json"]),
    ("truncated file", False, truncate(MODEL, 100000), [MODEL, "100000"]),
    ("empty file", False, truncate(MODEL, 0), [MODEL, "has 0 bytes"]),
    ("file of 5 bytes", False, truncate(MODEL, 5), [MODEL, "has 5 bytes"]),
    ("bytes behind the last tensor", False, lambda folder: open(os.path.join(folder, MODEL), "ab").write(b"12345"), [MODEL, "5 bytes after"]),
    ("header length past the end", False, raw(MODEL, struct.pack("<Q", 1 << 40) + b"{}"), [MODEL, str(1 << 40)]),
    ("header length that overflows", False, raw(MODEL, b"\xff" * 8 + b"{}"), [MODEL, "18446744073709551615"]),
    ("header that is no JSON", False, whole('{"a": '), [MODEL + " (header):1:7"]),
    ("header that is no mapping", False, whole("[]"), [MODEL, "not a JSON mapping"]),
    ("header nested 100000 deep", False, whole('{"a":' + "[" * 100000), [MODEL, "deep"]),
    ("git-lfs pointer", False, raw(MODEL, "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"), [MODEL, "git-lfs", "git lfs pull"]),
    ("overlapping offsets", False, header(overlap), [NORM, "overlap"]),
    ("negative offset", False, entry(NORM, data_offsets=[-2, 126]), [NORM, "-2"]),
    ("offset past the end", False, entry(NORM, data_offsets=[1 << 40, (1 << 40) + 128]), [NORM, "ends at byte", "10995116"]),
    ("offsets the wrong way round", False, entry(NORM, data_offsets=[128, 0]), [NORM, "128"]),
    ("offsets that are no numbers", False, entry(NORM, data_offsets=["0", 1.5]), [NORM, "data_offsets"]),
    ("shape that overflows", False, entry(NORM, shape=[1 << 62, 1 << 62]), [NORM, str(1 << 62)]),
    ("negative shape", False, entry(NORM, shape=[-64]), [NORM, "dimension", "2^63"]),
    ("shape that its bytes do not hold", False, entry(NORM, shape=[63]), [NORM, "126", "128"]),
    ("unknown dtype", False, entry(NORM, dtype="BF17"), [NORM, "BF17", "BF16"]),
    ("shape that contradicts the config", False, entry(Q_PROJ, shape=[32, 128]), [Q_PROJ, "[32, 128]", "[64, 64]", "config.json"]),
    ("dtype that the model cannot use", False, entry(NORM, dtype="I16"), [NORM, "I16", "floating-point"]),
    ("duplicate tensor in one file", False, duplicate, [NORM, "duplicate key"]),
    ("tensor in two files", True, twice, ["several checkpoints", "model-00001-of-00002.safetensors", "model-00003-of-00002.safetensors"]),
    ("missing and left-over tensor", False, rename(Q_PROJ, "model.layers.0.self_attn.q.weight"), [Q_PROJ, "missing", "model.layers.0.self_attn.q.weight", "left over"]),
    ("left-over tensor", False, header(extra), ["model.layers.0.extra.weight", "left over"]),
    ("index names a file outside", True, index(lambda m: m.update({NORM: "../other/model.safetensors"})), [NORM, "../other/model.safetensors"]),
    ("index names an absolute path", True, index(lambda m: m.update({NORM: "/etc/model.safetensors"})), [NORM, "/etc/model.safetensors"]),
    ("index names another kind of file", True, index(lambda m: m.update({NORM: "pytorch_model.bin"})), [NORM, "pytorch_model.bin"]),
    ("index knows a tensor that no file has", True, index(lambda m: m.update({"model.lost.weight": SHARD})), ["model.lost.weight", SHARD]),
    ("index lacks a tensor", True, index(lambda m: m.pop(NORM)), [NORM, "index"]),
    ("index that is no mapping", True, raw("model.safetensors.index.json", '{"weight_map": 5}'), ["model.safetensors.index.json: weight_map"]),
    ("no weights at all", False, lambda folder: os.remove(os.path.join(folder, MODEL)), ["safetensors"]),
    ("shard that is a dangling link", True, lambda folder: (os.remove(os.path.join(folder, SHARD)), os.symlink("gone", os.path.join(folder, SHARD))), [SHARD, "link"]),
    ("shard that is a folder", True, lambda folder: (os.remove(os.path.join(folder, SHARD)), os.mkdir(os.path.join(folder, SHARD))), [SHARD]),
    ("shard that is a pipe", True, lambda folder: (os.remove(os.path.join(folder, SHARD)), os.mkfifo(os.path.join(folder, SHARD))), [SHARD]),

    ("no config.json", False, lambda folder: os.remove(os.path.join(folder, "config.json")), ["config.json"]),
    ("config.json is no JSON", False, raw("config.json", '{\n  "architectures": [,]\n}'), ["config.json:2:21"]),
    ("config.json has a key twice", False, raw("config.json", '{"vocab_size": 1,\n "vocab_size": 2}'), ["config.json:2:2", "vocab_size"]),
    ("config.json is a list", False, raw("config.json", "[]"), ["config.json", "not a mapping"]),
    ("config.json is empty", False, raw("config.json", ""), ["config.json:1:1"]),
    ("config.json is not UTF-8", False, raw("config.json", b'{"model_type": "\xff\xfe"}'), ["config.json"]),
    ("config.json nested 100000 deep", False, raw("config.json", '{"a":' + "[" * 100000), ["config.json", "deep"]),
    ("config.json lacks architectures", False, config(architectures=None, model_type=None), ["config.json", "architectures"]),
    ("size that is text", False, config(hidden_size="big"), ["hidden_size", "big"]),
    ("size that is zero", False, config(num_attention_heads=0), ["num_attention_heads", "0"]),
    ("size that is negative", False, config(num_hidden_layers=-1), ["num_hidden_layers", "-1"]),
    ("size that is a fraction", False, config(num_hidden_layers=2.5), ["num_hidden_layers", "2.5"]),
    ("heads that do not divide", False, config(num_attention_heads=5), ["q_proj.weight", "5 heads of 12", "config.json"]),
    ("absurd number of layers", False, config(num_hidden_layers=10 ** 9), ["1000000000", "config.json"]),
    ("absurd hidden size", False, config(hidden_size=1 << 60), ["1152921504606846976"]),
    ("number that fits no integer", False, config(hidden_size=10 ** 30), ["hidden_size"]),
    ("absurd rope factor", False, config(rope_scaling={"rope_type": "linear", "factor": 0}), ["factor", "0"]),
    ("unknown architecture", False, config(architectures=["LlamaForCausalLN"]), ["LlamaForCausalLN", "LlamaForCausalLM"]),
    ("unknown rope_type", False, config(rope_scaling=ROPE), ["linaer", "linear"]),
    ("rope_scaling without its factor", False, config(rope_scaling={"rope_type": "linear"}), ["factor"]),
    ("rope_scaling that is text", False, config(rope_scaling="linear"), ["config.json: rope_scaling", "not a mapping"]),
    ("unknown hidden_act", False, config(hidden_act="silo"), ["silo", "silu"]),
    ("unknown key", False, config(frobnicate_layers=3), ["config.json: frobnicate_layers", "3", "--assume-inert frobnicate_layers"]),
    ("key that this architecture does not have, with a value", False, config(use_qk_norm=True), ["use_qk_norm", "--assume-inert use_qk_norm"]),
    ("tie that the tensors contradict", False, config(tie_word_embeddings=True), ["tie_word_embeddings", "differ"]),
    ("escapes in a tensor name", False, rename(NORM, "\x1b[31mmodel\u202e.norm\x07.weight<b>"), ["\\x1b[31mmodel", "left over"]),
    ("escapes in a value", False, config(hidden_act="\x1b]0;owned\x07<script>"), ["\\x1b]0;owned\\x07"]),
    ("escapes in a key", False, config(**{"\x1b[2Jkey": 7}), ["\\x1b[2Jkey"]),
    ("escapes in an architecture", False, config(architectures=["\x1b[1mLlama\r\nerror: all is well"]), ["\\x1b[1mLlama"]),
]

# what, arguments (CK and OUT stand for the checkpoint and the output folder), exit code, words
COMMANDS = [
    ("no verb", [], 2, ["verb"]),
    ("unknown verb", ["migrat", "CK"], 2, ["migrat", "migrate"]),
    ("unknown flag", ["migrate", "CK", "--chip", "x86-64", "--out", "OUT", "--formt", "onnx"], 2, ["--formt", "--format"]),
    ("flag without its value", ["migrate", "CK", "--chip"], 2, ["--chip"]),
    ("no chip", ["migrate", "CK", "--out", "OUT"], 2, ["--chip"]),
    ("no source", ["migrate", "--chip", "x86-64"], 2, ["source"]),
    ("unknown chip", ["migrate", "CK", "--chip", "ascend-910b4", "--out", "OUT"], 2, ["--chip", "ascend-910b4", "ascend-910b3"]),
    ("unknown format", ["migrate", "CK", "--chip", "x86-64", "--format", "onxx", "--out", "OUT"], 2, ["--format", "onxx", "onnx"]),
    ("format that the chip does not have", ["migrate", "CK", "--chip", "rk3588", "--format", "gguf", "--out", "OUT"], 2, ["--format", "gguf", "onnx"]),
    ("unknown scheme", ["migrate", "CK", "--chip", "x86-64", "--scheme", "fp15", "--out", "OUT"], 2, ["--scheme", "fp15", "fp16"]),
    ("stored type that the toolchain cannot load", ["migrate", "CK", "--chip", "rk3588", "--out", "OUT"], 2, ["BF16", "--scheme fp16", "--scheme fp32"]),
    ("unknown device", ["migrate", "CK", "--chip", "x86-64", "--device", "ort:cpy", "--out", "OUT"], 2, ["ort:cpy", "ort:cpu"]),
    ("unknown gate", ["migrate", "CK", "--chip", "x86-64", "--gate", "defualt", "--out", "OUT"], 2, ["--gate", "defualt", "default"]),
    ("gate file that is not there", ["migrate", "CK", "--chip", "x86-64", "--gate", "./none.yaml", "--out", "OUT"], 2, ["none.yaml", "check the path"]),
    ("unknown task", ["migrate", "CK", "--chip", "x86-64", "--task", "casual_lm", "--out", "OUT"], 2, ["--task", "casual_lm", "causal_lm"]),
    ("unknown kind of validation", ["migrate", "CK", "--chip", "x86-64", "--validate", "all", "--out", "OUT"], 2, ["--validate", "all", "numbers"]),
    ("unknown cache", ["migrate", "CK", "--chip", "x86-64", "--kv-cache", "dynamo", "--out", "OUT"], 2, ["--kv-cache", "dynamo", "dynamic"]),
    ("cache without columns", ["migrate", "CK", "--chip", "x86-64", "--kv-cache", "static:none", "--out", "OUT"], 2, ["--kv-cache", "static:none"]),
    ("cache beyond the positions", ["migrate", "CK", "--chip", "x86-64", "--kv-cache", "static:9999", "--out", "OUT"], 2, ["9999", "128"]),
    ("dynamic cache for fixed shapes", ["migrate", "CK", "--chip", "ascend-910b3", "--format", "onnx", "--scheme", "fp16", "--kv-cache", "dynamic", "--out", "OUT"], 2, ["--kv-cache", "fixed shapes"]),
    ("context beyond the positions", ["plan", "CK", "--chip", "x86-64", "--context", "4096"], 2, ["--context", "4096", "128"]),
    ("context that is no number", ["plan", "CK", "--chip", "x86-64", "--context", "-3"], 2, ["--context", "-3"]),
    ("memory that is no size", ["migrate", "CK", "--chip", "x86-64", "--memory", "lots", "--out", "OUT"], 2, ["--memory", "lots"]),
    ("jobs that are no number", ["migrate", "CK", "--chip", "x86-64", "--jobs", "-1", "--out", "OUT"], 2, ["--jobs"]),
    ("absurd number of jobs", ["migrate", "CK", "--chip", "x86-64", "--jobs", "4000000000", "--out", "OUT"], 2, ["--jobs"]),
    ("budget that is negative", ["migrate", "CK", "--chip", "x86-64", "--budget", "-5", "--out", "OUT"], 2, ["--budget"]),
    ("time that is none", ["migrate", "CK", "--chip", "x86-64", "--wait", "long", "--out", "OUT"], 2, ["--wait", "long", "10m"]),
    ("progress that is none", ["migrate", "CK", "--chip", "x86-64", "--progress", "loud", "--out", "OUT"], 2, ["--progress", "loud"]),
    ("task option that is no pair", ["migrate", "CK", "--chip", "x86-64", "--task-option", "yes", "--out", "OUT"], 2, ["--task-option", "yes"]),
    ("assume-inert of a key that matters", ["migrate", "CK", "--chip", "x86-64", "--assume-inert", "hidden_size", "--out", "OUT"], 2, ["hidden_size"]),
    ("source that is not there", ["inspect", "./nothing-here"], 2, ["nothing-here", "no such file or folder"]),
    ("source that is an empty folder", ["inspect", "EMPTY"], 2, ["EMPTY"]),
    ("source on a hub", ["inspect", "hf://owner/name"], 2, ["hf://owner/name", "local folders"]),
    ("bare hub id", ["inspect", "owner/name"], 2, ["owner/name", "hub"]),
    ("recipes folder that is not there", ["plan", "CK", "--chip", "x86-64", "--recipes", "./none"], 2, ["none"]),
    ("devices file that is not there", ["migrate", "CK", "--chip", "x86-64", "--devices", "./none.yaml", "--out", "OUT"], 2, ["--devices", "none.yaml"]),
    ("list of nothing known", ["list", "chisp"], 2, ["chisp", "chips"]),
    ("check of no folder", ["check", "./none"], 2, ["./none", "no such folder"]),
    ("verify of no artefact", ["verify", "CK"], 2, ["manifest.json"]),
    ("validate without either", ["validate", "CK"], 2, ["--golden", "--against"]),
    ("golden file that is not there", ["validate", "CK", "--golden", "./none.safetensors", "--device", "reference"], 2, ["none.safetensors"]),
    ("golden file without inputs", ["validate", "CK", "--golden", "CK/model.safetensors", "--device", "reference"], 2, ["input_ids"]),
    ("run without inputs", ["run", "CK", "--device", "reference"], 2, ["--inputs"]),
    ("run of a checkpoint on a device", ["run", "CK", "--device", "ort:cpu", "--inputs", "CK/model.safetensors", "--out", "OUT"], 2, ["no artefact"]),
    ("inputs without ids", ["run", "CK", "--device", "reference", "--inputs", "CK/model.safetensors", "--out", "OUT"], 2, ["--inputs", "input_ids"]),
    ("token beyond the vocabulary", ["run", "CK", "--device", "reference", "--inputs", "IDS", "--out", "OUT"], 2, ["input_ids", "5000", "0..127"]),
    ("out inside the source", ["migrate", "CK", "--chip", "x86-64", "--out", "CK/release"], 2, ["--out", "lies in the source"]),
    ("out over the source", ["migrate", "CK", "--chip", "x86-64", "--out", "CK"], 2, ["--out", "lies in the source"]),
    ("links where they are refused", ["migrate", "CK", "--chip", "ascend-910b3", "--format", "onnx", "--scheme", "source", "--link", "--validate", "none", "--out", "OUT"], 2, ["--link", "second name"]),
]

# what, file of --recipes, content, command, words
RECIPES = [
    ("model: YAML syntax", "models/acme.yaml", "recipe: 1\nmatch: [\n", "check", ["models/acme.yaml:"]),
    ("model: unknown key", "models/acme.yaml", "recipe: 1\nmtach: []\n", "check", ["models/acme.yaml:2:1", "mtach", "match"]),
    ("model: alias", "models/acme.yaml", "recipe: &a 1\nmatch: *a\n", "check", ["models/acme.yaml:"]),
    ("model: key twice", "models/acme.yaml", "recipe: 1\nrecipe: 1\n", "check", ["models/acme.yaml:2:1", "recipe"]),
    ("model: unknown block", "models/acme.yaml",
     "recipe: 1\nmatch: [{architectures: [AcmeForCausalLM]}]\ndefaults: LlamaConfig\ninputs: {input_ids: {}}\ngraph:\n  - embde: {id: e, weight: w}\n",
     "check", ["models/acme.yaml:", "embde", "embed"]),
    ("chip: figure without a source", "chips/acme.yaml", "recipe: 1\nname: acme\nvendor: acme\nmemory: {gib: 64}\n", "check", ["chips/acme.yaml:4:", "src"]),
    ("chip: name is not the file's", "chips/acme.yaml", "recipe: 1\nname: emca\nvendor: acme\n", "check", ["chips/acme.yaml:2:", "emca", "acme"]),
    ("chip: broken while planning", "chips/acme.yaml", "recipe: 1\nname: [acme\n", "plan", ["chips/acme.yaml:"]),
    ("gate: unknown check", "gates/acme.yaml", "recipe: 1\nname: acme\naccept: {checks: [bites]}\n", "check", ["gates/acme.yaml:3:", "bites", "bytes"]),
    ("gate: broken while migrating", "gates/acme.yaml", "recipe: 1\nname: acme\naccept: yes\n", "migrate", ["gates/acme.yaml:"]),
    ("scheme: unknown dtype", "schemes/acme.yaml", "recipe: 1\nname: acme\nsummary: s\nstorage: {dtype: fp17}\n", "check", ["schemes/acme.yaml:4:", "fp17"]),
    ("table: unknown key", "ops/acme.yaml", "recipe: 1\nvocabulry: onnx\n", "check", ["ops/acme.yaml:2:1", "vocabulry", "vocabulary"]),
    ("escapes in a recipe", "chips/acme.yaml", "recipe: 1\n\"na\\e[31mme\": acme\n", "check", ["chips/acme.yaml:2:1", "\\x1b[31m"]),
    ("nesting 100000 deep", "chips/acme.yaml", "recipe: 1\nname: " + "[" * 100000, "check", ["chips/acme.yaml:"]),
]

DEVICES = [
    ("unknown key", "devices:\n  - {name: x, runnr: ort}\n", ["devices.yaml:2:", "runnr", "runner"]),
    ("no runner", "devices:\n  - {name: x}\n", ["devices.yaml:2:", "runner"]),
    ("syntax", "devices:\n  - {name: x\n", ["devices.yaml:"]),
    ("name of a shipped device", "devices:\n  - {name: reference, runner: ort}\n", ["devices.yaml:2:", "reference"]),
    ("device of another name", "devices:\n  - {name: old, runner: ort}\n", ["--device", "odd", "old"]),
]

# MISBEHAVE of tests/devices/runners/misbehaves.py, exit code, words; the command names the device, so that it must work.
FAULTS = [
    ("version", 3, ["device odd", "version"]),
    ("dies-at-start", 3, ["device odd", "the license server is asleep"]),
    ("endless-banner", 3, ["device odd", "before the first frame"]),
]

# HOW of runners/distorts.py, which is ONNX Runtime with one fault; exit code, words.
DISTORTIONS = [
    ("", 0, ["ACCEPT"]),
    ("noisy", 0, ["ACCEPT"]),
    ("nan", 1, ["ANOMALOUS", "logits"]),
    ("infinite", 1, ["ANOMALOUS", "logits"]),
    ("constant", 1, ["ANOMALOUS", "logits"]),
    ("random", 1, ["ANOMALOUS"]),
    ("scaled", 1, ["REGRESSION", "logits", "nmse"]),
    ("shape", 1, ["logits: bad answer of device distorted", "[1, 8, 127]"]),  # no measurement, so no verdict
    ("hang", 3, ["device distorted", "took longer"]),
    ("dies", 3, ["device distorted", "kernel 7"]),
    ("memory", 3, ["device distorted", "oom"]),
]


class BadInput(Refusing):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.single = support.fixture("llama-llama-7b", os.path.join(cls.shared, "single"))
        cls.sharded = support.fixture("llama-llama-7b", os.path.join(cls.shared, "sharded"), "--shards", "2")
        cls.python = runner_python()

    def checkpoint(self, sharded=False, change=None):
        folder = self.path("CK")
        shutil.copytree(self.sharded if sharded else self.single, folder)
        if change:
            change(folder)
        return folder

    def migrate(self, folder, *words, **options):
        return run("migrate", folder, "--chip", "x86-64", "--out", self.out, "--validate", "bytes", *words, **options)

    def devices(self, text):
        return write(self.path("devices.yaml"), text)

    def test_unknown_key_can_be_called_inert(self):
        folder = self.checkpoint(change=config(frobnicate_layers=3))
        self.expect(self.migrate(folder, "--assume-inert", "frobnicate_layers"), 0, "UNPROVEN")
        manifest = json.loads(support.read(os.path.join(self.out, "manifest.json")))
        self.assertIn("assume-inert frobnicate_layers", manifest["build"]["options"])

    def test_names_of_files_are_escaped_where_they_are_listed(self):
        folder = self.path("\x1b[31mred\u202e")
        shutil.copytree(self.single, folder)
        self.expect(run("inspect", folder), 0, "\\x1b[31mred")
        self.expect(run("plan", folder, "--chip", "x86-64"), 0, "\\x1b[31mred")
        self.expect(self.migrate(folder), 0)
        self.assertNotIn(b"\x1b", support.read(os.path.join(self.out, "README.md")))
        self.expect(run("inspect", self.path("\x1b[31mgone")), 2, "\\x1b[31mgone")

    def test_missing_engine(self):
        """A Python without ONNX Runtime: exit 3 and the remedy where the device must work, UNPROVEN where it is a stand-in."""
        folder = self.checkpoint()
        env = {"FLAGRELEASE_PYTHON": "/usr/bin/python3"}
        result = run("migrate", folder, "--chip", "x86-64", "--out", self.out, env=env)
        self.expect(result, 3, "onnxruntime", "tools/install_deps", "FLAGRELEASE_PYTHON")
        self.assertNotIn("manifest.json", os.listdir(self.out))
        result = run("migrate", folder, "--chip", "ascend-910b3", "--format", "onnx", "--context", "16", "--out", self.path("proxy"), env=env)
        self.expect(result, 4, "UNPROVEN", "ort:cpu cannot start")

    def test_runner_script_that_is_not_there(self):
        devices = self.devices("devices:\n  - {name: odd, runner: ./nothing.py}\n")
        result = run("migrate", self.checkpoint(), "--chip", "x86-64", "--out", self.out, "--device", "odd", "--devices", devices)
        self.expect(result, 3, "nothing.py", "note: ")

    def test_manifest_that_is_damaged(self):
        folder = self.checkpoint()
        self.expect(self.migrate(folder), 0)
        path = os.path.join(self.out, "manifest.json")
        good = support.read(path)
        rows = [(b"{", 2, "manifest.json"), (b"[]", 2, "manifest.json"), (b"", 2, "manifest.json"),
                (good.replace(b'"model/config.json"', b'"../../etc/passwd"'), 2, "../../etc/passwd")]
        for content, code, words in rows:
            with self.subTest(content[:20]):
                write(path, content)
                self.expect(run("verify", self.out), code, words, "note: ")


def add(prefix, what, function):
    name = "test_" + prefix + "_" + "".join(c if c.isalnum() else "_" for c in what)
    assert not hasattr(BadInput, name), name
    function.__name__ = name
    setattr(BadInput, name, function)


for row in CHECKPOINTS:
    def checkpoint_row(self, row=row):
        _, sharded, change, words = row
        result = self.migrate(self.checkpoint(sharded, change))
        self.refused(result, 2, words)
        self.bounded(result)
    add("checkpoint", row[0], checkpoint_row)

for row in COMMANDS:
    def command_row(self, row=row):
        _, words, code, expected = row
        os.mkdir(self.path("EMPTY"))
        support.ids_file(self.path("IDS"), [[1, 5000]])
        self.checkpoint()
        result = run(*["out" if word == "OUT" else word for word in words], cwd=self.folder)
        self.refused(result, code, expected)
        self.bounded(result)
    add("command", row[0], command_row)

for row in RECIPES:
    def recipe_row(self, row=row):
        _, name, content, verb, words = row
        write(self.path("more", name), content)
        if verb == "check":
            result = run("check", "--recipes", self.path("more"))
        elif verb == "plan":
            result = run("plan", self.checkpoint(), "--chip", "acme", "--recipes", self.path("more"))
        else:
            result = self.migrate(self.checkpoint(), "--gate", "acme", "--recipes", self.path("more"))
        self.refused(result, 2, words, remedies=False)
        self.bounded(result)
    add("recipe", row[0], recipe_row)

for row in DEVICES:
    def devices_row(self, row=row):
        _, content, words = row
        result = run("migrate", self.checkpoint(), "--chip", "x86-64", "--out", self.out, "--device", "odd", "--devices", self.devices(content))
        self.refused(result, 2, words)
    add("devices", row[0], devices_row)

for row in FAULTS:
    def fault_row(self, row=row):
        how, code, words = row
        script = os.path.join(support.SOURCE, "tests/devices/runners/misbehaves.py")
        devices = self.devices("devices:\n  - {name: odd, runner: %s, timeout: 2, env: {MISBEHAVE: %s}}\n" % (script, how))
        start = time.monotonic()
        result = run("migrate", self.checkpoint(), "--chip", "x86-64", "--out", self.out, "--device", "odd", "--devices", devices,
                     env={"FLAGRELEASE_PYTHON": "/usr/bin/python3"})
        self.assertLess(time.monotonic() - start, 40)
        self.expect(result, code, *words)
        self.assertRegex(result.err, r"\n  note: \S")
        self.assertNotIn("manifest.json", os.listdir(self.out))
    add("fault", row[0], fault_row)

for row in DISTORTIONS:
    def distortion_row(self, row=row):
        how, code, words = row
        if not self.python:
            support.skip(self, "no Python with onnxruntime: run tools/install_deps")
        timeout = 4 if how == "hang" else 60
        devices = self.devices("devices:\n  - {name: distorted, chip: x86-64, runner: %s/distorts.py, timeout: %d, env: {HOW: \"%s\", RUNNERS: %s}}\n"
                               % (support.RUNNERS, timeout, how, os.path.join(support.SOURCE, "devices/runners")))
        result = run("migrate", self.checkpoint(), "--chip", "x86-64", "--out", self.out, "--device", "distorted", "--devices", devices,
                     "--gate", os.path.join(support.RUNNERS, "short.yaml"))
        self.expect(result, code, *words)
        files = os.listdir(self.out)
        self.assertEqual("manifest.json" in files, code == 0, files)
        self.assertEqual("manifest.rejected.json" in files, code == 1 and how != "shape", files)
        if how == "noisy":
            logs = os.path.join(self.out, "logs")
            self.assertLess(sum(os.path.getsize(os.path.join(logs, name)) for name in os.listdir(logs)), 16 << 20)
    add("runner", row[0] or "as it should be", distortion_row)


if __name__ == "__main__":
    support.main()
