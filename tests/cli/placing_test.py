"""Where the source lies and whose it is: another user's files, another file system, the links of a hub's cache, a device that writes into what it is
given. Whatever becomes of the artefact, the source stays as it was."""
import os
import shutil
import stat
import subprocess

import support
from support import Case, artefact, read, run, runner_python, write

BYTES = ("--chip", "x86-64", "--validate", "bytes")
# Files that are placed as they are, and such that are made: whole, by rows, in blocks.
WAYS = (("hf", "source"), ("onnx", "source"), ("hf", "w8a16"), ("onnx", "w4a16-g32"), ("gguf", "q8_0"))
SHORT = os.path.join(support.RUNNERS, "short.yaml")


def content(folder):
    """What nobody may change: names, inodes, owners, modes, times, link counts and bytes (ctime goes with the number of links)."""
    rows = []
    for base, folders, files in os.walk(folder):
        for name in folders + files + [""]:
            path = os.path.join(base, name)
            info = os.lstat(path)
            what = os.readlink(path) if stat.S_ISLNK(info.st_mode) else read(path) if stat.S_ISREG(info.st_mode) else b""
            rows.append((os.path.relpath(path, folder), info.st_ino, info.st_uid, info.st_mode, info.st_size, info.st_mtime_ns, what))
    return sorted(rows)


class Placing(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = support.fixture("llama-llama-7b", os.path.join(cls.shared, "plain"))
        write(os.path.join(cls.plain, "tokenizer_config.json"), "{}")
        cls.python = runner_python()

    def setUp(self):
        super().setUp()
        self.out = self.path("out")

    def migrate(self, source, form, scheme, *words, code=0, **options):
        shutil.rmtree(self.out, ignore_errors=True)
        return self.expect(run("migrate", source, "--out", self.out, *BYTES, "--format", form, "--scheme", scheme, *words, **options), code)

    def model(self, *names):
        return os.path.join(self.out, "model", *names)

    def test_files_of_another_user(self):
        """Read-only, and owned by somebody else where this user is root: then the program runs as root without root's powers, for whom
        files of others are what they are for any user."""
        source, through = self.path("theirs"), ()
        shutil.copytree(self.plain, source)
        if os.geteuid() == 0:
            through = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
            for base, _, files in os.walk(source):
                for path in [base] + [os.path.join(base, name) for name in files]:
                    os.chown(path, 12345, 12345)
        for base, _, files in os.walk(source):
            for name in files:
                os.chmod(os.path.join(base, name), 0o444)
            os.chmod(base, 0o555)
        try:
            before = content(source)
            for form, scheme in WAYS:
                for link in ([], ["--link"]):
                    with self.subTest(form + " " + scheme, link=link):
                        result = self.migrate(source, form, scheme, *link, through=through)
                        self.assertEqual(content(source), before)
                        for path in support.tree(self.out):
                            info = os.lstat(os.path.join(self.out, path))
                            if through or not link:
                                self.assertEqual((info.st_uid, info.st_nlink), (os.geteuid(), 1), path)
                                self.assertTrue(info.st_mode & stat.S_IWUSR, path + " cannot be removed or replaced by who made it")
                        if through and link and scheme == "source":
                            self.assertIn("could not be a hard link", result.err)
                        self.expect(run("verify", self.out), 0, "verified")
            os.chmod(os.path.join(source, "model.safetensors"), 0o400)
            if through:
                shutil.rmtree(self.out)
                self.expect(run("migrate", source, "--out", self.out, *BYTES, through=through), 3, "model.safetensors", "note: ")
                self.assertFalse(os.path.exists(self.out))
        finally:
            for base, _, files in os.walk(source):
                os.chmod(base, 0o755)

    def test_another_file_system(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "flagrelease-test", disk], capture_output=True).returncode:
            support.skip(self, "no tmpfs can be mounted here (needs root)")
        try:
            source = os.path.join(disk, "source")
            shutil.copytree(self.plain, source)
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            before = content(source)
            for form, scheme in WAYS:
                result = self.migrate(self.plain, form, scheme)
                expected = artefact(self.out)
                for link in ([], ["--link"]):
                    with self.subTest(form + " " + scheme, link=link):
                        result = self.migrate(source, form, scheme, *link)
                        self.assertEqual(content(source), before)
                        if link and scheme == "source":
                            self.assertIn("could not be a hard link", result.err)
                        # The name of the source is in the manifest.
                        self.assertEqual({name: data for name, data in artefact(self.out).items() if name.endswith((".safetensors", ".data", ".onnx"))},
                                         {name: data for name, data in expected.items() if name.endswith((".safetensors", ".data", ".onnx"))})
                        self.assertEqual({os.lstat(os.path.join(self.out, path)).st_nlink for path in support.tree(self.out)}, {1})
        finally:
            subprocess.run(["umount", disk], check=True)

    def cache(self):
        """The plain checkpoint as a hub's client keeps it: names are links to blobs."""
        top = self.path("hub/models--owner--name")
        snapshot = os.path.join(top, "snapshots", "0123456789abcdef")
        os.makedirs(snapshot)
        for i, name in enumerate(sorted(os.listdir(self.plain))):
            write(os.path.join(top, "blobs", "%064x" % (i + 7)), read(os.path.join(self.plain, name)))
            os.symlink("../../blobs/%064x" % (i + 7), os.path.join(snapshot, name))
        return top, snapshot

    def test_cache_of_a_hub(self):
        top, snapshot = self.cache()
        before = content(top)
        for form, scheme in WAYS:
            for link in ([], ["--link"]):
                with self.subTest(form + " " + scheme, link=link):
                    self.migrate(snapshot, form, scheme, *link)
                    self.assertEqual(content(top), before)
                    for base, folders, files in os.walk(self.out):
                        for name in folders + files:
                            self.assertFalse(os.path.islink(os.path.join(base, name)), name)
                    if form == "hf":
                        self.assertEqual(read(self.model("tokenizer_config.json")), b"{}")
                    if scheme == "source" and link:
                        self.assertTrue(os.path.samefile(os.path.join(snapshot, "model.safetensors"), self.model("model.safetensors")))
                    self.expect(run("verify", self.out), 0, "verified")
                    self.expect(run("validate", self.out, "--against", snapshot, "--validate", "bytes"), 0)
        # Nothing of ours goes into the cache, whatever it is called.
        for place in (os.path.join(snapshot, "out"), os.path.join(top, "out"), os.path.join(top, "blobs"), os.path.join(top, "snapshots", "out")):
            self.expect(run("migrate", snapshot, "--out", place, *BYTES), 2, "--out", "note: ")
        self.assertEqual(content(top), before)

    def devices(self, *rows):
        script = os.path.join(support.RUNNERS, "truncates.py")
        common = "chip: x86-64, runner: %s, env: {RUNNERS: %s}" % (script, os.path.join(support.SOURCE, "devices/runners"))
        return write(self.path("devices.yaml"), "devices:\n" + "".join("  - {name: %s, %s%s}\n" % (name, common, more) for name, more in rows))

    def test_a_device_that_cuts_what_it_is_given(self):
        """A hard link is the source's file. A runner in the box cannot write; one outside is not shown such a file."""
        if not self.python:
            support.skip(self, "no Python with onnxruntime: run tools/install_deps")
        devices = self.devices(("boxed", ""), ("free", ", exec: [env, %s]" % self.python), ("sent", ", push: true, exec: [env, %s]" % self.python))
        source = self.path("source")
        shutil.copytree(self.plain, source)
        before = content(source)
        words = ("--chip", "x86-64", "--format", "onnx", "--scheme", "source", "--gate", SHORT, "--devices", devices, "--link")

        def attempt(device, *more):
            shutil.rmtree(self.out, ignore_errors=True)
            result = run("migrate", source, "--out", self.out, *words, "--device", device, *more)
            self.assertEqual(content(source), before, result)
            return result

        result = attempt("boxed")
        if os.path.exists(self.out):
            self.assertTrue(os.path.samefile(os.path.join(source, "model.safetensors"), self.model("model.safetensors")))
        if result.code == 2:  # in a chroot nothing can be made read-only
            self.expect(result, 2, "--link", "device boxed", "note: ")
        else:
            self.expect(result, 0, "ACCEPT on boxed")
            logs = os.path.join(self.out, "logs")
            self.assertIn(b"kept model.safetensors", b"".join(read(os.path.join(logs, name)) for name in os.listdir(logs)))
        # Outside of the box: refused before a byte is written.
        for device, more in (("free", []), ("boxed", ["--no-sandbox"])):
            self.expect(attempt(device, *more), 2, "--link", "device " + device, "push: true")
            self.assertFalse(os.path.exists(self.out))
        # Bytes that were sent are a copy.
        self.assertIn(attempt("sent").code, (1, 3))
        # Links that are there already: of a migration without a device, looked at later.
        shutil.rmtree(self.out, ignore_errors=True)
        self.expect(run("migrate", source, "--out", self.out, *words, "--device", "none"), 0)
        for device, more in (("free", []), ("boxed", ["--no-sandbox"])):
            self.expect(run("validate", self.out, "--against", source, "--gate", SHORT, "--devices", devices, "--device", device, *more), 2, "hard link", "push: true")
            self.expect(run("migrate", source, "--out", self.out, *words, "--device", device, *more), 2, "--link")
        ids = support.ids_file(self.path("ids.safetensors"), [[1, 2, 3]])
        self.expect(run("run", self.out, "--inputs", ids, "--out", self.path("answers"), "--devices", devices, "--device", "free"), 2, "hard link")
        self.assertEqual(content(source), before)
        self.expect(run("verify", self.out), 0, "verified")


if __name__ == "__main__":
    support.main()
