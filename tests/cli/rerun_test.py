"""Running again: the table of states of --out, deaths at every step of writing, a full disk, and the same bytes in every environment."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time

import support
from support import Case, Running, artefact, listing, run, runner_python, tree, write

BYTES = ("--chip", "x86-64", "--validate", "bytes")


class Rerun(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = support.fixture("llama-llama-7b", os.path.join(cls.shared, "llama"), "--shards", "2")
        cls.tied = support.fixture("qwen3-qwen3-0.6b", os.path.join(cls.shared, "qwen3"))
        cls.python = runner_python()

    def setUp(self):
        super().setUp()
        self.out = self.path("out")

    def migrate(self, *words, source=None, **options):
        return run("migrate", source or self.source, "--out", self.out, *(words or BYTES), **options)

    def begun(self, *words):
        """An unfinished folder: killed after the first file has got its name."""
        result = self.migrate(*(words or BYTES), env={"FLAGRELEASE_FAIL_POINT": "file-after-done"})
        self.assertEqual(result.code, -signal.SIGKILL, result)
        self.assertNotIn("manifest.json", os.listdir(self.out))

    # The table: states of --out, same and other fingerprint.

    def test_absent(self):
        self.expect(self.migrate(), 0, "UNPROVEN")
        self.assertEqual({"model", "manifest.json", "report.json", "README.md", "attestations", ".flagrelease"}, set(os.listdir(self.out)))
        self.assertFalse(os.path.exists(os.path.join(self.out, ".flagrelease/work")) and os.listdir(os.path.join(self.out, ".flagrelease/work")))

    def test_empty_folder_is_absent(self):
        os.mkdir(self.out)
        self.expect(self.migrate(), 0, "UNPROVEN")

    def test_unfinished_and_the_same(self):
        self.expect(run("migrate", self.source, "--out", self.path("whole"), *BYTES), 0)
        self.begun()
        first = os.lstat(os.path.join(self.out, "model", os.listdir(os.path.join(self.out, "model"))[0])).st_ino
        self.expect(self.migrate(), 0, "UNPROVEN")
        self.assertIn(first, [row[1] for row in listing(self.out)], "a file that was complete was made again")
        self.assertEqual(artefact(self.out), artefact(self.path("whole")))

    def test_unfinished_and_another(self):
        self.begun()
        before = listing(self.out)
        result = self.expect(self.migrate(*BYTES, "--scheme", "fp32"), 2, "--scheme", "--force", "source", "fp32")
        self.assertIn("note: ", result.err)
        self.assertEqual(listing(self.out), before)
        self.expect(self.migrate(*BYTES, "--scheme", "fp32", "--force"), 0)
        self.expect(run("verify", self.out), 0, "verified")

    def test_finished_and_the_same(self):
        self.expect(self.migrate(), 0)
        before = listing(self.out)
        for options in ([], ["--jobs", "1"], ["--memory", "64MiB"], ["--progress", "json"], ["--quiet"]):
            result = self.expect(self.migrate(*BYTES, *options), 0, "UNPROVEN", "nothing was done")
            self.assertEqual(listing(self.out), before, result)
        self.assertEqual(self.migrate(*BYTES, "--json").json()["verdict"], "UNPROVEN")
        self.assertEqual(listing(self.out), before)

    def test_finished_and_another(self):
        self.expect(self.migrate(), 0)
        before = listing(self.out)
        self.expect(self.migrate(*BYTES, "--kv-cache", "none"), 2, "--kv-cache", "dynamic", "none", "--force")
        self.expect(self.migrate(*BYTES, source=self.tied), 2, "--force")
        self.assertEqual(listing(self.out), before)
        old = artefact(self.out)
        self.expect(self.migrate(*BYTES, "--force", source=self.tied), 0)
        self.assertNotEqual(artefact(self.out), old)
        self.assertFalse([name for name in os.listdir(os.path.join(self.out, "model")) if "00002" in name], "a file of the old run is left")
        self.expect(run("verify", self.out), 0)

    def test_source_that_changed(self):
        source = self.path("source")
        shutil.copytree(self.source, source)
        self.expect(self.migrate(source=source), 0)
        shard = os.path.join(source, "model-00002-of-00002.safetensors")
        support.flip(shard, -1)
        self.expect(self.migrate(source=source), 2, "model-00002-of-00002.safetensors", "--force")
        self.expect(self.migrate(*BYTES, "--force", source=source), 0)
        self.expect(run("verify", self.out), 0)

    def test_force_keeps_the_files_of_others(self):
        self.expect(self.migrate(), 0)
        mine = [write(self.path("out", name), "mine") for name in ("notes.txt", "deep/er/notes.txt", ".flagrelease/notes.txt")]
        self.expect(self.migrate(*BYTES, "--scheme", "fp32", "--force"), 0)
        for path in mine:
            self.assertEqual(support.read(path), b"mine", path)
        self.expect(run("verify", self.out), 0)

    def test_a_file_of_somebody_else_at_a_name_that_is_needed(self):
        for name in ("out/model/config.json", "out/model/notes.txt", "out/manifest.json", "out/README.md"):
            shutil.rmtree(self.out, ignore_errors=True)
            mine = write(self.path(name), "mine")
            for force in ([], ["--force"]):
                self.expect(self.migrate(*BYTES, *force), 2, os.path.basename(name), "note: ")
                self.assertEqual(list(tree(self.out, without=[".flagrelease"]).values()), [b"mine"], name)

    def test_force_and_a_file_of_somebody_else_in_model(self):
        self.expect(self.migrate(), 0)
        mine = write(self.path("out/model/notes.txt"), "mine")
        before = artefact(self.out)
        self.expect(self.migrate(*BYTES, "--scheme", "fp32", "--force"), 2, "model/notes.txt", "note: ")
        self.assertEqual(artefact(self.out), before)
        os.remove(mine)
        self.expect(self.migrate(*BYTES, "--scheme", "fp32", "--force"), 0)

    def test_finished_and_another_device_or_gate(self):
        """Only the validation runs: bytes stay, an attestation is added."""
        if not self.python:
            support.skip(self, "no Python with onnxruntime: run tools/install_deps")
        words = ("--chip", "x86-64", "--gate", os.path.join(support.RUNNERS, "short.yaml"))
        self.expect(self.migrate("--chip", "x86-64", "--device", "none"), 0, "UNPROVEN")
        # Not ctime: the model with taps links to model/'s files for the time of the validation.
        bytes_of = lambda: [row[:4] for row in listing(self.out) if row[0].startswith(("model/", "manifest"))]
        before = bytes_of()
        self.assertTrue(before)
        self.expect(self.migrate(*words), 0, "ACCEPT on ort:cpu")
        self.assertEqual(bytes_of(), before)
        self.assertEqual(len(os.listdir(os.path.join(self.out, "attestations"))), 2)
        after = listing(self.out)
        self.expect(self.migrate(*words), 0, "ACCEPT", "nothing was done")
        self.expect(self.migrate("--chip", "x86-64", "--device", "none"), 0, "UNPROVEN", "nothing was done")
        self.assertEqual(listing(self.out), after)
        self.expect(run("verify", self.out), 0, "ACCEPT for x86-64 on ort:cpu")

    # Two runs

    def held(self):
        """A living run that has written its bytes and waits for a device that never says hello."""
        script = os.path.join(support.SOURCE, "tests/devices/runners/misbehaves.py")
        devices = write(self.path("devices.yaml"), "devices:\n  - {name: silent, runner: %s, env: {MISBEHAVE: silent-start, MARK: %s}}\n" % (script, os.path.basename(self.folder)))
        first = Running(["migrate", self.source, "--out", self.out, "--chip", "x86-64", "--device", "silent", "--devices", devices],
                        env={"FLAGRELEASE_PYTHON": "/usr/bin/python3"})
        self.addCleanup(first.end)
        end = time.monotonic() + 30
        while not glob.glob(self.path("out/logs/silent-*.log")):
            self.assertLess(time.monotonic(), end, "the device was never started")
            time.sleep(0.01)
        return first

    def left_behind(self):
        """Processes that have this test's mark in their environment."""
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                if ("MARK=" + os.path.basename(self.folder)).encode() in support.read(path):
                    found.append(path)
            except OSError:
                pass
        return found

    def test_two_runs(self):
        first = self.held()
        before = artefact(self.out)
        for words in (BYTES, (*BYTES, "--force"), (*BYTES, "--scheme", "fp32")):
            start = time.monotonic()
            self.expect(self.migrate(*words), 75, str(first.process.pid), "--wait")
            self.assertLess(time.monotonic() - start, 10)
        self.expect(self.migrate(*BYTES, "--wait", "1s"), 75)
        self.assertEqual(artefact(self.out), before)
        second = Running(["migrate", self.source, "--out", self.out, *BYTES, "--wait", "1m"])
        self.addCleanup(second.end)
        time.sleep(0.3)
        first.signal(signal.SIGTERM)
        self.expect(first.finish(), 75)
        self.expect(second.finish(), 0, "UNPROVEN")
        self.expect(run("verify", self.out), 0)

    def test_terminated(self):
        """SIGTERM while a device works: within 5 s, nothing left running, and the next run completes with the same bytes."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                shutil.rmtree(self.out, ignore_errors=True)
                first = self.held()
                first.signal(number)
                start = time.monotonic()
                result = first.finish()
                self.assertLess(time.monotonic() - start, 5)
                self.expect(result, 75, "note: ")
                self.assertNotIn("manifest.json", os.listdir(self.out))
                self.assertEqual(self.left_behind(), [])
        self.expect(self.migrate(), 0)
        self.expect(run("migrate", self.source, "--out", self.path("whole"), *BYTES), 0)
        self.assertEqual(artefact(self.out), artefact(self.path("whole")))

    # Ends by force

    def test_killed_at_every_fail_point(self):
        """SIGKILL, SIGTERM and a failing disk at each step, the first and a later time: the next run gives the same bytes."""
        words = {"copied": (*BYTES, "--quiet"), "derived": (*BYTES, "--scheme", "fp32", "--quiet")}
        whole = {}
        for name, line in words.items():
            self.expect(run("migrate", self.source, "--out", self.path(name), *line), 0)
            whole[name] = artefact(self.path(name))
        hit = set()
        for point in support.fail_points():
            forced = point == "force-during-remove"
            for name, at, action in (("copied", 1, "kill"), ("derived", 1, "kill"), ("derived", 3, "kill"), ("derived", 2, "stop"), ("copied", 2, "error")):
                with self.subTest(point=point, scheme=name, at=at, action=action):
                    shutil.rmtree(self.out, ignore_errors=True)
                    if forced:
                        self.expect(self.migrate(*BYTES, "--kv-cache", "none"), 0)
                    force = ["--force"] if forced else []
                    result = self.migrate(*words[name], *force, env={"FLAGRELEASE_FAIL_POINT": "%s@%d:%s" % (point, at, action)})
                    if result.code == 0:
                        continue  # never came to that point so often
                    hit.add(point)
                    self.assertEqual(result.code, {"kill": -signal.SIGKILL, "stop": 75, "error": 3}[action], result)
                    if action == "stop":
                        self.assertIn("note: ", result.err)
                    # Half of a --force is finished by --force only.
                    self.expect(self.migrate(*words[name], *force), 0)
                    self.assertEqual(artefact(self.out), whole[name])
        # What no migration comes to is the streaming of tensors of more than one tile.
        self.assertLessEqual(set(support.fail_points()) - hit, {"stream-tile", "stream-tensors-done"})

    # The disk

    def test_full_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "flagrelease-test", disk], capture_output=True).returncode:
            support.skip(self, "no tmpfs can be mounted here (needs root)")
        try:
            self.out = os.path.join(disk, "out")
            # The source is 170 KiB, fp32 twice that, the graph 25 KiB: refused before a byte moves, or found while writing.
            for scheme, kilobytes in (("fp32", 300), ("source", 300), ("source", 190)):
                words = (*BYTES, "--scheme", scheme)
                with self.subTest(scheme=scheme, kilobytes=kilobytes):
                    shutil.rmtree(self.out, ignore_errors=True)
                    subprocess.run(["mount", "-o", "remount,size=%dk" % kilobytes, disk], check=True)
                    result = self.migrate(*words)
                    if scheme == "source" and kilobytes == 300:
                        self.expect(result, 0)
                    else:
                        self.expect(result, 3, "note: ")
                        self.assertNotIn("manifest.json", os.listdir(self.out) if os.path.isdir(self.out) else [])
                    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
                    self.expect(self.migrate(*words), 0)
                    whole = self.path("whole", scheme)
                    self.expect(run("migrate", self.source, "--out", whole, *words), 0)
                    self.assertEqual(artefact(self.out), artefact(whole))
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_no_permission(self):
        locked = self.path("locked")
        os.mkdir(locked, 0o500)
        self.out = os.path.join(locked, "out")
        if os.geteuid():
            self.expect(self.migrate(), 3, self.out, "note: ")
            return
        # Root may write everywhere but on what cannot be written.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", locked], check=True)
        try:
            self.expect(self.migrate(), 3, self.out, "note: ")
        finally:
            subprocess.run(["umount", locked], check=True)

    # The same bytes

    def test_same_bytes_everywhere(self):
        environments = [
            ("jobs 1", ["--jobs", "1"], {}), ("jobs 2", ["--jobs", "2"], {}), ("jobs 8", ["--jobs", "8"], {}),
            ("memory", ["--memory", "64MiB"], {}),
            ("plain", [], {"FLAGRELEASE_CPU": "plain"}), ("avx2", [], {"FLAGRELEASE_CPU": "avx2"}),
            ("home, zone, locale", [], {"HOME": "/nonexistent", "TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "LANG": "C"}),
        ]
        for scheme in ("source", "fp16"):
            self.expect(self.migrate(*BYTES, "--scheme", scheme), 0)
            expected = artefact(self.out)
            for what, words, env in environments:
                with self.subTest(what, scheme=scheme):
                    other = self.path("other")
                    shutil.rmtree(other, ignore_errors=True)
                    os.mkdir(other)
                    odd = what.startswith("home")
                    self.expect(run("migrate", os.path.relpath(self.source, other) if odd else self.source, "--out", "here", *BYTES, "--scheme", scheme, *words,
                                    env=env, cwd=other, umask=0o077 if odd else -1), 0)
                    self.assertEqual(artefact(os.path.join(other, "here")), expected)
            shutil.rmtree(self.out)
        text = b"".join(tree(self.path("other/here"), without=(".flagrelease", "logs")).values())
        for private in (self.folder.encode(), os.uname().nodename.encode()):
            self.assertNotIn(private, text, "a published file says where it was made")

    def test_links(self):
        self.expect(self.migrate(*BYTES, "--link"), 0)
        for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
            self.assertTrue(os.path.samefile(os.path.join(self.source, name), os.path.join(self.out, "model", name)), name)
        files = {file["path"]: file for file in json.loads(support.read(os.path.join(self.out, "manifest.json")))["files"]}
        self.assertIn("link", str(files["model/model-00001-of-00002.safetensors"]))
        self.assertNotIn("link", str(files["model/config.json"]))
        self.expect(run("verify", self.out), 0)
        self.expect(self.migrate(), 2, "--link", "--force")
        before = tree(self.source)
        self.expect(self.migrate(*BYTES, "--force"), 0)
        self.assertEqual(tree(self.source), before)
        self.assertFalse(os.path.samefile(os.path.join(self.source, name), os.path.join(self.out, "model", name)))


if __name__ == "__main__":
    support.main()
