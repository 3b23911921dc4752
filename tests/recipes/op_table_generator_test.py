"""What tools/gen_op_tables.py says about lists that it cannot read: exit 2, file and line, nothing written."""
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "gen_op_tables.py"
TABLES = TOOL.parent.parent / "recipes" / "ops"
HEAD = "# toolchain: T\n# source: S\n"
CASES = [
    (None, "No such file"),
    (HEAD + "Add 1-2\n", "ort_cpu.txt:3: not `Name min-max dtypes"),
    (HEAD + "Add 1-2 ?\nAdd 1-2 ?\n", "ort_cpu.txt:4: Add stands twice"),
    (HEAD + "Add 1-2 fp23\n", "ort_cpu.txt:3: unknown dtype 'fp23'"),
    (HEAD + "# NOT supported: Add, B C\n", "ort_cpu.txt:3: not an operator name: ['B C']"),
    (HEAD + "# NOT supported: Add\nAdd 1-2 ?\n", "ort_cpu.txt: listed and denied: ['Add']"),
    ("Add 1-2 ?\n", "no `# toolchain:`"),
]


def main():
    before = {path: path.read_bytes() for path in TABLES.iterdir()}
    wrong = 0
    for text, message in CASES:
        with tempfile.TemporaryDirectory() as folder:
            if text is not None:
                pathlib.Path(folder, "ort_cpu.txt").write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, str(TOOL), folder], capture_output=True, text=True, timeout=60)
        if done.returncode != 2 or message not in done.stderr:
            wrong += 1
            print(f"{text!r}: exit {done.returncode}, {done.stderr!r}; expected 2 and {message!r}")
    if before != {path: path.read_bytes() for path in TABLES.iterdir()}:
        wrong += 1
        print("a table was changed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
