"""tools/install_consumers where nothing is to be installed, and where it cannot: what it prints and how it ends. No package is fetched."""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
ENGINES = ("transformers", "llama.cpp", "vllm")


class InstallConsumers(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.places = self.folder / "flagrelease/consumers"

    def run_script(self, *words, **environment):
        env = {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(self.folder), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, **environment}
        return subprocess.run([TOOLS / "install_consumers", *words], env=env, capture_output=True, text=True, timeout=60)

    def finished(self, engine):
        """An environment that looks as one that was made from today's locks, with a Python that must not run."""
        place = self.places / engine
        (place / "bin").mkdir(parents=True)
        (place / "bin/python3").write_text("#!/bin/sh\nexit 99\n")
        (place / "bin/python3").chmod(0o755)
        locks = [engine] + (["transformers"] if engine == "vllm" else [])
        text = b"1\n" + b"".join((TOOLS / "consumers" / f"{name}.lock").read_bytes() for name in locks)
        (place / ".flagrelease-lock").write_text(hashlib.sha256(text).hexdigest() + "\n")

    def test_what_is_there_is_left_alone_at_once(self):
        for engine in ENGINES:
            self.finished(engine)
        start = time.monotonic()
        done = self.run_script()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertLess(time.monotonic() - start, 2)

    def test_vllm_needs_the_torch_of_transformers(self):
        self.finished("vllm")
        (self.places / "transformers").mkdir()
        (self.places / "transformers/something").write_text("x")
        done = self.run_script("vllm")
        self.assertEqual(done.returncode, 3)
        self.assertIn(str(self.places / "transformers"), done.stderr)

    def test_an_unknown_engine(self):
        done = self.run_script("llama.cpp", "tensorrt")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown engine 'tensorrt': known are transformers, llama.cpp, vllm", done.stderr)
        self.assertFalse(self.places.exists())

    def test_a_folder_that_is_no_environment_is_not_removed(self):
        (self.places / "llama.cpp").mkdir(parents=True)
        (self.places / "llama.cpp/precious").write_text("x")
        done = self.run_script("llama.cpp")
        self.assertEqual(done.returncode, 3)
        self.assertIn("is no Python environment", done.stderr)
        self.assertTrue((self.places / "llama.cpp/precious").exists())

    def test_packages_that_cannot_be_had(self):
        done = self.run_script("llama.cpp")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("pip install failed", done.stderr)
        self.assertFalse((self.places / "llama.cpp/.flagrelease-lock").exists())

    def test_another_interpreter_must_have_the_engine(self):
        python = shutil.which("true")
        done = self.run_script("llama.cpp", FLAGRELEASE_PYTHON_LLAMA_CPP=python)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for wrong in ("/nowhere/python3", shutil.which("false")):
            done = self.run_script("llama.cpp", FLAGRELEASE_PYTHON_LLAMA_CPP=wrong)
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"FLAGRELEASE_PYTHON_LLAMA_CPP={wrong} is no Python that has: xllamacpp numpy", done.stderr)
        self.assertFalse(self.places.exists())

    def test_locks_are_complete(self):
        """Every package has a digest, no line names a place, and a package stands once."""
        for engine in ENGINES:
            text = (TOOLS / "consumers" / f"{engine}.lock").read_text()
            pins = re.findall(r"^([a-z0-9-]+(?:\.[a-z0-9-]+)*)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", text, re.M)
            self.assertEqual(2 * len(pins) + 1, len(text.splitlines()), engine)
            self.assertEqual(len({name for name, _ in pins}), len(pins))
            self.assertNotIn("://", text)
            asked = re.findall(r"^(?:# without-dependencies: )?([a-z.-]+==\S+)$", (TOOLS / "consumers" / f"{engine}.in").read_text(), re.M)
            self.assertTrue(asked)
            self.assertLessEqual(set(asked), {f"{name}=={version}" for name, version in pins})


if __name__ == "__main__":
    unittest.main()
