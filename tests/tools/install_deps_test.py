"""tools/install_deps on machines that lack something: what it prints and how it ends, without installing anything."""
import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
NOBODY = 65534


class InstallDeps(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        for name in ("install_deps", "requirements.lock"):  # where another user may read them
            shutil.copy(TOOLS / name, self.folder / name)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.program("apt-get", 'echo "apt-get must not run" >&2; exit 99')

    def program(self, name, body):
        (self.bin / name).write_text("#!/bin/sh\n" + body + "\n")
        (self.bin / name).chmod(0o755)

    def every_package_but(self, *missing):
        """A dpkg-query that knows every package as installed, but these."""
        tests = "".join(f'[ "$p" = {name} ] || ' for name in missing)
        self.program("dpkg-query", f'for p; do case $p in --*) ;; *) {tests} echo "installed $p" ;; esac; done')

    def run_as_nobody(self, **environment):
        prefix = [shutil.which("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder / "home"), **environment}
        return subprocess.run([*prefix, self.folder / "install_deps"], env=env, capture_output=True, text=True, timeout=60)

    def test_without_root_one_line_says_what_to_run(self):
        self.every_package_but("clang-19", "cmake")
        done = self.run_as_nobody()
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stdout, "sudo apt-get update && sudo apt-get install -y --no-install-recommends clang-19 cmake\n")

    def test_a_package_that_is_known_but_not_installed_is_missing(self):
        self.program("dpkg-query", 'for p; do case $p in --*) ;; git) echo "not-installed $p" ;; *) echo "installed $p" ;; esac; done; exit 1')
        done = self.run_as_nobody()
        self.assertEqual(done.returncode, 3)
        self.assertTrue(done.stdout.endswith("--no-install-recommends git\n"), done.stdout)

    def test_a_finished_environment_is_left_alone(self):
        self.every_package_but()
        venv = self.folder / "home/.local/share/flagrelease/venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin/python3").write_text("#!/bin/sh\nexit 99\n")
        (venv / "bin/python3").chmod(0o755)
        (venv / ".flagrelease-lock").write_text(hashlib.sha256((self.folder / "requirements.lock").read_bytes()).hexdigest() + "\n")
        done = self.run_as_nobody()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_a_folder_that_is_no_environment_is_not_removed(self):
        self.every_package_but()
        venv = self.folder / "home/.local/share/flagrelease/venv"
        venv.mkdir(parents=True)
        (venv / "precious").write_text("x")
        if os.geteuid() == 0:
            os.chown(venv.parent, NOBODY, NOBODY)
        done = self.run_as_nobody()
        self.assertEqual(done.returncode, 3)
        self.assertIn("is no Python environment", done.stderr)
        self.assertTrue((venv / "precious").exists())

    def test_another_interpreter_must_have_the_packages(self):
        self.every_package_but()
        done = self.run_as_nobody(FLAGRELEASE_PYTHON=shutil.which("true"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.run_as_nobody(FLAGRELEASE_PYTHON="/nowhere/python3")
        self.assertEqual(done.returncode, 3)
        self.assertIn("FLAGRELEASE_PYTHON=/nowhere/python3 lacks", done.stderr)

    def test_a_home_is_needed(self):
        self.every_package_but()
        done = self.run_as_nobody(HOME="")
        self.assertEqual(done.returncode, 3)
        self.assertIn("neither XDG_DATA_HOME nor HOME is set", done.stderr)

    def test_a_system_without_dpkg_gets_the_list(self):
        for tool in ("bash", "dirname", "sha256sum"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        done = self.run_as_nobody(PATH=str(self.bin))
        self.assertEqual(done.returncode, 3)
        self.assertIn("no Debian system", done.stderr)
        self.assertIn("libmlir-19-dev", done.stderr)


if __name__ == "__main__":
    unittest.main()
