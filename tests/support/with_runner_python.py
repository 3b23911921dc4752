"""Runs a script with a Python that has a package: this one, FLAGRELEASE_PYTHON, or the venv that tools/install_deps makes.

    with_runner_python.py PACKAGE SCRIPT [ARGUMENTS]

Exit 77 (skipped, for ctest) if none has it; 1 instead where FLAGRELEASE_NO_SKIPS is set.
"""
import os
import subprocess
import sys


def candidates():
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    yield os.environ.get("FLAGRELEASE_PYTHON")
    yield os.path.join(data, "flagrelease", "venv", "bin", "python")
    yield sys.executable


def main():
    package, script = sys.argv[1], sys.argv[2:]
    for python in candidates():
        if python and os.path.exists(python) and subprocess.run([python, "-c", "import " + package], capture_output=True).returncode == 0:
            os.execv(python, [python, *script])
    print("skipped: no Python with the package %s (tools/install_deps, or FLAGRELEASE_PYTHON)" % package)
    return 1 if os.environ.get("FLAGRELEASE_NO_SKIPS") else 77


if __name__ == "__main__":
    sys.exit(main())
