"""What the tests of the consumers share: the other side of the runner protocol, fixtures, distances. Needs numpy, and is run by
tests/consumers/run with the Python of the engine `transformers`.

    FLAGRELEASE_FIXTURE  the maker of fixtures  (default: build/release/tests/support/flagrelease-fixture)
    FLAGRELEASE_DEVICE   runs a device          (default: build/release/tests/support/flagrelease-device)
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy

SOURCE = os.environ.get("FLAGRELEASE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.path.join(SOURCE, "build/release/tests/support")
FIXTURE_TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_FIXTURE") or os.path.join(BUILT, "flagrelease-fixture"))
DEVICE_TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_DEVICE") or os.path.join(BUILT, "flagrelease-device"))
FIXTURES = os.path.join(SOURCE, "tests/fixtures/models")
EXAMPLE = os.path.join(SOURCE, "examples/models/kjv-qwen3-5m")
RUNNERS = os.path.join(SOURCE, "devices/runners")

sys.path.insert(0, RUNNERS)
import fr_runner  # noqa: E402  (only its reader and writer of tensors)

sys.path.remove(RUNNERS)  # a script there is named as the package that it drives

# Runs a script of devices/runners as the program does: its name is not on the module path.
START = """import sys, types
helper = types.ModuleType("fr_runner"); sys.modules["fr_runner"] = helper
exec(compile(open(sys.argv[1]).read(), "fr_runner.py", "exec"), helper.__dict__)
exec(compile(open(sys.argv[2]).read(), sys.argv[2], "exec"), {"__name__": "__main__"})"""


def python_of(engine):
    """The interpreter that the program would take for an engine."""
    named = os.environ.get("FLAGRELEASE_PYTHON_" + engine.upper().replace(".", "_"))
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return named or os.path.join(data, "flagrelease/consumers", engine, "bin/python")


class RunnerFault(Exception):
    def __init__(self, body):
        super().__init__("%(class)s: %(message)s" % body)
        self.kind, self.remedy = body["class"], body.get("remedy", "")


class Runner:
    """A started runner script; the caller's side of docs/runner-protocol.md."""

    def __init__(self, script, python, env=None):
        self.folder = tempfile.mkdtemp(prefix="flagrelease-consumer-")
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen(
            [python, "-c", START, os.path.join(RUNNERS, "fr_runner.py"), os.path.join(RUNNERS, script + ".py")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, cwd=self.folder,
            env=dict({"PATH": os.environ["PATH"], "HOME": self.folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}, **(env or {})))
        self.number = 0
        self.hello = self.receive()
        self.tier = self.hello["tier"]
        self.send({"type": "hello", "protocol": 1, "heartbeat_seconds": 5})

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, body):
        self.process.stdin.write(b"FR1 " + json.dumps(body).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.log.seek(0)
                raise AssertionError("the runner ended: " + self.log.read().decode("utf-8", "replace")[-4000:])
            if line.startswith(b"FR1 "):
                return json.loads(line[4:])

    def request(self, kind, timeout=900, **body):
        self.number += 1
        guard = threading.Timer(timeout, self.process.kill)
        guard.start()
        try:
            self.send(dict(body, type=kind, id=self.number))
            while True:
                answer = self.receive()
                if answer["type"] == "error":
                    raise RunnerFault(answer)
                if answer["type"] == "result":
                    return answer
        finally:
            guard.cancel()

    def probe(self):
        return self.request("probe")["probe"]

    def load(self, path, outputs=(), threads=0):
        return self.request("load", model={"path": path}, outputs=list(outputs), threads=threads)

    def run(self, **inputs):
        """{name: array} of what the model answers; dots of input names are spelled `__`."""
        source, target = os.path.join(self.folder, "in.safetensors"), os.path.join(self.folder, "out.safetensors")
        fr_runner.write_tensors(source, {name.replace("__", "."): value for name, value in inputs.items()})
        told = self.request("run", inputs={"path": source}, outputs={"path": target})["tensors"]
        found = fr_runner.read_tensors(target)
        assert {name: {"dtype": t.dtype, "shape": list(t.array.shape)} for name, t in found.items()} == told, told
        return {name: tensor.array for name, tensor in found.items()}


def fixture(name, folder, *options):
    subprocess.run([FIXTURE_TOOL, os.path.join(FIXTURES, name), folder, *options], check=True, stdout=subprocess.DEVNULL)
    return folder


def golden(name, file="golden.safetensors"):
    return {key: tensor.array for key, tensor in fr_runner.read_tensors(os.path.join(FIXTURES, name, file)).items()}


def floats(tensor):
    """A tensor of a file as float32."""
    if tensor.dtype == "BF16":
        return (tensor.array.astype(numpy.uint32) << 16).view(numpy.float32)
    return tensor.array.astype(numpy.float32)


def nmse(got, expected):
    got, expected = numpy.asarray(got, numpy.float64), numpy.asarray(expected, numpy.float64)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return float(((got - expected) ** 2).sum() / (expected ** 2).sum())


class Case(unittest.TestCase):
    """A test with a folder that vanishes, of an engine that must be there."""

    engine = ""

    @classmethod
    def setUpClass(cls):
        cls.python = python_of(cls.engine)
        if not os.access(cls.python, os.X_OK):
            raise AssertionError("not run: %s is not there; run tools/install_consumers %s" % (cls.python, cls.engine))
        cls.shared = tempfile.mkdtemp(prefix="flagrelease-consumers-")
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.shared, *names)
