"""What the tests of the command line share: running the program, small checkpoints, safetensors files. Standard library only.

    FLAGRELEASE          the program            (default: build/release/flagrelease)
    FLAGRELEASE_FIXTURE  its maker of fixtures  (default: build/release/tests/support/flagrelease-fixture)
"""
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get("FLAGRELEASE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get("FLAGRELEASE") or os.path.join(SOURCE, "build/release/flagrelease"))
FIXTURE_TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_FIXTURE") or os.path.join(SOURCE, "build/release/tests/support/flagrelease-fixture"))
RUNNERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runners")
NO_SKIPS = bool(os.environ.get("FLAGRELEASE_NO_SKIPS"))

#: Variables of the person who runs the tests that would change what the program does.
FOREIGN = ("FLAGRELEASE_HOME", "FLAGRELEASE_DEVICES", "FLAGRELEASE_FAIL_POINT", "FLAGRELEASE_CPU", "FLAGRELEASE_HUB", "XDG_CONFIG_HOME")


def skip(test, reason):
    """A skip with its reason; where nothing may be skipped, a failure."""
    if NO_SKIPS:
        test.fail("would be skipped: " + reason)
    test.skipTest(reason)


def environment(changes=None):
    env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    env["XDG_CONFIG_HOME"] = "/nonexistent"
    for key, value in (changes or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


class Result:
    """code (minus the signal if one ended it), out, err, and what the process itself used: cpu seconds, peak memory in bytes."""

    def __init__(self, words, code, out, err, usage):
        self.words, self.code, self.out, self.err = words, code, out, err
        self.cpu, self.memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024

    def __str__(self):
        return "%s\nexit %d\n--- stdout\n%s--- stderr\n%s" % (" ".join(self.words), self.code, self.out[-4000:], self.err[-6000:])

    def json(self):
        return json.loads(self.out)


class Running:
    """A started program; its output goes to files, so that nothing it writes can block it."""

    def __init__(self, words, env=None, cwd=None, umask=-1, through=()):
        """through: words in front of the program's, such as another program that starts it."""
        self.words = [*through, PROGRAM] + [str(word) for word in words]
        self.files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=self.files[0], stderr=self.files[1], env=environment(env),
                                        cwd=cwd, umask=umask)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def end(self):
        """For clean-ups: nothing goes on after a test that failed."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def finish(self, timeout=60):
        end, pause = time.monotonic() + timeout, 0.002
        while True:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                self.signal(signal.SIGKILL)
                os.wait4(self.process.pid, 0)
                self.process.returncode = -9
                raise AssertionError("took longer than %d s: %s" % (timeout, " ".join(self.words)))
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        code = self.process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
            file.close()
        return Result(self.words, code, texts[0], texts[1], usage)


def run(*words, env=None, cwd=None, umask=-1, timeout=60, through=()):
    return Running(words, env, cwd, umask, through).finish(timeout)


def runner_python():
    """The Python of the runners, if it has ONNX Runtime; else None."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    for python in (os.environ.get("FLAGRELEASE_PYTHON"), os.path.join(data, "flagrelease/venv/bin/python")):
        if python and os.path.exists(python) and not subprocess.run([python, "-c", "import onnxruntime"], capture_output=True).returncode:
            return python
    return None


def fixture(name, folder, *options):
    subprocess.run([FIXTURE_TOOL, os.path.join(SOURCE, "tests/fixtures/models", name), folder, *options], check=True, stdout=subprocess.DEVNULL)
    return folder


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def read_safetensors(path):
    """(header, data): header as written, data behind it."""
    content = read(path)
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:8 + length]), content[8 + length:]


def write_safetensors(path, header, data, length=None):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return write(path, struct.pack("<Q", len(text) if length is None else length) + text + data)


def gguf_tensors(path):
    """(name, ggml's number of the type, shape with the length of a row first) of each tensor."""
    data, at = read(path), 24
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def number(form):
        nonlocal at
        at += struct.calcsize(form)
        return struct.unpack_from(form, data, at - struct.calcsize(form))[0]

    def text():
        nonlocal at
        length = number("<Q")
        at += length
        return data[at - length:at].decode()

    tensors, values = struct.unpack_from("<QQ", data, 8)
    for _ in range(values):
        text()
        kind, count = number("<I"), 1
        if kind == 9:
            kind, count = number("<I"), number("<Q")
        if kind == 8:
            for _ in range(count):
                text()
        else:
            at += widths[kind] * count
    rows = []
    for _ in range(tensors):
        name, shape = text(), [number("<Q") for _ in range(number("<I"))]
        rows.append((name, number("<I"), shape))
        at += 8
    return rows


def bf16(count, seed=1):
    """That many numbers between 2^-9 and 2^-5, of either sign, as bytes of bf16."""
    source, data = random.Random(seed), bytearray(2 * count)
    data[0::2] = source.randbytes(count)
    data[1::2] = source.randbytes(count).translate(bytes((0x3b, 0x3c, 0xbb, 0xbc)[byte & 3] for byte in range(256)))
    return data


def llama(folder, layers=1, hidden=256, heads=8, kv_heads=2, inner=256, vocab=64, tied=False, data=True, **changes):
    """A checkpoint of class Llama whose rows are whole blocks of every format. Without data it is a hole of that size, for what
    reads headers only."""
    width = hidden // heads
    shapes = {"model.embed_tokens": [vocab, hidden]}
    for i in range(layers):
        at = "model.layers.%d." % i
        shapes.update({at + "input_layernorm": [hidden], at + "self_attn.q_proj": [hidden, hidden], at + "self_attn.k_proj": [kv_heads * width, hidden],
                       at + "self_attn.v_proj": [kv_heads * width, hidden], at + "self_attn.o_proj": [hidden, hidden], at + "post_attention_layernorm": [hidden],
                       at + "mlp.gate_proj": [inner, hidden], at + "mlp.up_proj": [inner, hidden], at + "mlp.down_proj": [hidden, inner]})
    shapes["model.norm"] = [hidden]
    if not tied:
        shapes["lm_head"] = [vocab, hidden]
    if changes.get("model_type") == "qwen2":
        for i in range(layers):
            for name in "qkv":
                shapes["model.layers.%d.self_attn.%s_proj.bias" % (i, name)] = [hidden if name == "q" else kv_heads * width]
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name if name.endswith(".bias") else name + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    path = write_safetensors(os.path.join(folder, "model.safetensors"), header, bytes(bf16(end // 2)) if data else b"")
    if not data:
        os.truncate(path, os.path.getsize(path) + end)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab, "max_position_embeddings": 128, "hidden_act": "silu",
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": tied, "torch_dtype": "bfloat16"}
    config.update(changes)
    write(os.path.join(folder, "config.json"), json.dumps(config, indent=1))
    return folder


def fail_points():
    """The names in weights/FailPoint.cpp: a new one is tested without being listed here."""
    text = read(os.path.join(SOURCE, "weights/FailPoint.cpp")).decode()
    return re.findall(r'"([a-z-]+)"', re.search(r"kNames\[\] = \{(.*?)\};", text, re.S).group(1))


def listing(folder):
    """Every name below the folder with what a write would change."""
    rows = []
    for base, folders, files in os.walk(folder):
        for name in folders + files + [""]:
            info = os.lstat(os.path.join(base, name))
            rows.append((os.path.relpath(os.path.join(base, name), folder), info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode))
    return sorted(rows)


def ids_file(path, rows):
    flat = [token for row in rows for token in row]
    data = struct.pack("<%dq" % len(flat), *flat)
    return write_safetensors(path, {"input_ids": {"dtype": "I64", "shape": [len(rows), len(rows[0])], "data_offsets": [0, len(data)]}}, data)


def flip(path, offset):
    """One bit of one byte of the file."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def tree(folder, without=()):
    """relative path -> bytes of every file below the folder."""
    files = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            relative = os.path.relpath(path, folder)
            if not any(relative == skipped or relative.startswith(skipped + "/") for skipped in without):
                files[relative] = read(path)
    return files


def artefact(folder):
    """What must be the same for the same inputs: manifest, model/, serve/."""
    return {name: content for name, content in tree(folder).items() if name.startswith(("manifest", "model/", "serve/"))}


class Case(unittest.TestCase):
    """A test with a folder that vanishes."""

    #: Hundreds of runs that sync every step: in memory where there is such a file system.
    in_memory = False

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="flagrelease-cli-", dir="/dev/shm" if cls.in_memory and os.access("/dev/shm", os.W_OK) else None)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared, ignore_errors=True)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="t-", dir=self.shared)

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def expect(self, result, code, *words):
        """The exit code, and words that stderr or stdout must hold."""
        self.assertEqual(result.code, code, result)
        for word in words:
            self.assertIn(word, result.err + result.out, result)
        self.assert_plain(result)
        return result

    def assert_plain(self, result):
        """Nothing that moves a terminal's cursor or changes its colours, whatever a file is called."""
        for text in (result.out, result.err):
            odd = [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2066\u200f"]
            self.assertFalse(odd, (odd[:5], str(result)))


class Refusing(Case):
    """A test of commands that refuse; `out` is where a result would be."""

    def setUp(self):
        super().setUp()
        self.out = self.path("out")

    def refused(self, result, code, words, remedies=True, written=()):
        """The exit code; every error has a place and a remedy; the words; nothing that looks like a result. Where the place is a line
        of a recipe that somebody writes, what is wrong often says what to do. written: what --out may hold beside our own folder."""
        self.expect(result, code)
        for word in words:
            self.assertIn(word, result.err, result)
        lines = result.err.split("\n")
        errors = [i for i, line in enumerate(lines) if line.startswith("error: ")]
        self.assertTrue(errors, result)
        for i in errors:
            self.assertRegex(lines[i], r"^error: [^:\s].*: .", "no place")
            if remedies:
                self.assertRegex(lines[i + 1], r"^  note: \S", "no remedy for " + lines[i])
        self.assertNotIn("ACCEPT", result.out)
        self.nothing_written(written)

    def nothing_written(self, written=()):
        if os.path.isdir(self.out):
            self.assertLessEqual(set(os.listdir(self.out)), {".flagrelease", *written})
        else:
            self.assertFalse(os.path.exists(self.out))

    def bounded(self, result):
        self.assertLess(result.cpu, 1, result)
        self.assertLess(result.memory, 200 << 20, result)


def main():
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    for program in (PROGRAM, FIXTURE_TOOL):
        if not os.access(program, os.X_OK):
            sys.exit("%s is not built" % program)
    unittest.main()
