"""Weights that become small numbers, interrupted: SIGKILL at every step and at random moments, and what the next run does again; the same bytes for
any number of threads, any processor path and any environment."""
import json
import os
import random
import shutil
import signal
import time

import support
from support import Case, Running, artefact, read, run

BYTES = ("--chip", "x86-64", "--validate", "bytes", "--quiet")
HF = (*BYTES, "--format", "hf", "--scheme", "w8a16", "--shard-size", "300k")
GGUF = (*BYTES, "--format", "gguf", "--scheme", "q4_k_m")
SCHEMES = (("hf", "w8a16"), ("hf", "w4a16-g32"), ("hf", "w4a16-g128"), ("hf", "fp8"), ("hf", "fp8-block128"), ("gguf", "q4_k_m"), ("gguf", "mxfp4"), ("gguf", "q5_1"),
           ("onnx", "w8a16"), ("onnx", "w4a16-g32"), ("onnx", "w4a16-g64-asym"))


def journal(out):
    """The lines of a journal that are whole, as the run after reads them."""
    try:
        lines = read(os.path.join(out, ".flagrelease/journal")).decode().split("\n")
    except OSError:
        return []
    return [json.loads(line[line.index(" "):]) for line in lines[:-1]]


def streamed(folder):
    """name -> bytes of the files that hold weights."""
    files = {name: os.path.getsize(os.path.join(folder, "model", name)) for name in os.listdir(os.path.join(folder, "model"))}
    return {"model/" + name: size for name, size in files.items() if name.endswith((".safetensors", ".gguf", ".data"))}


def written(out):
    return json.loads(read(os.path.join(out, "report.json")))["resources"]["bytes_written"]


class QuantisedRerun(Case):
    in_memory = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = support.llama(os.path.join(cls.shared, "source"))
        cls.large = support.llama(os.path.join(cls.shared, "large"), layers=6, vocab=1024)

    def setUp(self):
        super().setUp()
        self.out = self.path("out")

    def undisturbed(self, source, words):
        whole = self.path("whole")
        shutil.rmtree(whole, ignore_errors=True)
        self.expect(run("migrate", source, "--out", whole, *words), 0)
        self.assertEqual(written(whole), sum(streamed(whole).values()))
        return whole

    def completes(self, source, words, whole):
        """The next run: the same bytes; no file is made again that was done, no tensor that was recorded. True if it did any work."""
        lines = journal(self.out)
        done = {line["done"] for line in lines if "done" in line}
        kept = {(line["of"], name) for line in lines if "tensors" in line for name, _ in line["tensors"]}
        before = {path: os.lstat(os.path.join(self.out, path)) for path in done}
        self.expect(run("migrate", source, "--out", self.out, *words), 0)
        self.assertEqual(artefact(self.out), artefact(whole))
        for path, old in before.items():
            if path.startswith("model/"):
                now = os.lstat(os.path.join(self.out, path))
                self.assertEqual((old.st_ino, old.st_mtime_ns), (now.st_ino, now.st_mtime_ns), path + " was made again")
        if any("finished" in line for line in lines):
            return False
        again = sum(size for path, size in streamed(whole).items() if path not in done)
        for tensor in json.loads(read(os.path.join(self.out, "manifest.json")))["tensors"]:
            if tensor["file"] not in done and (tensor["file"], tensor["name"]) in kept:
                again -= tensor["bytes"]
        self.assertEqual(written(self.out), again)
        return True

    def test_killed_at_every_fail_point(self):
        hit = set()
        for words in (HF, GGUF):
            whole = self.undisturbed(self.source, words)
            for point in support.fail_points():
                if point == "force-during-remove":
                    continue  # rerun_test.py: nothing there knows of numbers
                for at in (1, 3):
                    with self.subTest(words[6], point=point, at=at):
                        shutil.rmtree(self.out, ignore_errors=True)
                        result = run("migrate", self.source, "--out", self.out, *words, env={"FLAGRELEASE_FAIL_POINT": "%s@%d" % (point, at)})
                        if result.code == 0:
                            continue  # never came to that point so often
                        self.assertEqual(result.code, -signal.SIGKILL, result)
                        hit.add(point)
                        self.completes(self.source, words, whole)
        # Files are placed without a copy of bytes only where nothing changes; tensors are recorded every 256 MiB.
        self.assertLessEqual(set(support.fail_points()) - hit, {"file-during-bytes", "stream-tensors-done", "force-during-remove"})

    def test_stopped_between_tiles(self):
        """A run that is asked to stop records the tensors that are complete: the next one computes only the others."""
        for words in ((*BYTES, "--format", "hf", "--scheme", "w4a16-g32"), GGUF):
            whole, most = self.undisturbed(self.source, words), 0
            for at in (1, 4, 7, 9, 10):
                with self.subTest(words[6], at=at):
                    shutil.rmtree(self.out, ignore_errors=True)
                    result = run("migrate", self.source, "--out", self.out, *words, "--jobs", "2", env={"FLAGRELEASE_FAIL_POINT": "stream-tile@%d:stop" % at})
                    self.assertEqual(result.code, 75, result)
                    self.assertTrue(self.completes(self.source, words, whole))
                    most = max(most, sum(streamed(whole).values()) - written(self.out))
            self.assertGreater(most, 0, "nothing was ever kept")

    def begun(self, words):
        """A run that has opened its journal, and when that was."""
        shutil.rmtree(self.out, ignore_errors=True)
        running = Running(["migrate", self.large, "--out", self.out, *words])
        self.addCleanup(running.end)
        end = time.monotonic() + 60
        while not os.path.exists(os.path.join(self.out, ".flagrelease/journal")):
            self.assertLess(time.monotonic(), end, "nothing was ever written")
            time.sleep(0.001)
        return running, time.monotonic()

    def test_killed_at_random_moments(self):
        moments, unfinished = random.Random(20261127), 0
        for words in (HF, GGUF):
            words = (*words, "--jobs", "2")
            whole = self.undisturbed(self.large, words)
            running, start = self.begun(words)
            self.expect(running.finish(), 0)
            length = time.monotonic() - start
            for i in range(10):
                moment = moments.uniform(0, length)
                with self.subTest(words[6], moment="%d: %.3f of %.3f s" % (i, moment, length)):
                    running, start = self.begun(words)
                    time.sleep(max(0, start + moment - time.monotonic()))
                    running.signal(signal.SIGKILL)
                    running.finish()
                    unfinished += self.completes(self.large, words, whole)
        self.assertGreater(unfinished, 0, "all of the moments were too late")

    def test_same_bytes_everywhere(self):
        odd = {"HOME": "/nonexistent", "TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "C", "LANGUAGE": "tr"}
        rows = ((["--jobs", "1"], {"FLAGRELEASE_CPU": "plain"}), (["--jobs", "8", "--memory", "64MiB"], {"FLAGRELEASE_CPU": "avx2"}), (["--jobs", "2"], odd))
        for form, scheme in SCHEMES:
            words = (*BYTES, "--format", form, "--scheme", scheme)
            shutil.rmtree(self.out, ignore_errors=True)
            self.expect(run("migrate", self.source, "--out", self.out, *words), 0)
            expected = artefact(self.out)
            self.assertIn("manifest.json", expected)
            for more, env in rows:
                with self.subTest(form + " " + scheme, options=more):
                    other = self.path("other")
                    shutil.rmtree(other, ignore_errors=True)
                    os.mkdir(other)
                    source = os.path.relpath(self.source, other) if env is odd else self.source
                    self.expect(run("migrate", source, "--out", "here", *words, *more, env=env, cwd=other, umask=0o077 if env is odd else -1), 0)
                    self.assertEqual(artefact(os.path.join(other, "here")), expected)


if __name__ == "__main__":
    support.main()
