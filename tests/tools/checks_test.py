"""The tree's own checks find what they are there for: each case is a small tree with one fault, and the line that names it."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"


def run(script, files):
    """Runs tools/`script` over a tree of {path: text}; returns (exit status, lines on stdout)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, "-B", TOOLS / script, folder], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.splitlines()


class Includes(unittest.TestCase):
    HEADER = "#pragma once\n"

    def judge(self, files):
        return run("check_includes.py", files)

    def test_a_tree_in_order_passes(self):
        status, lines = self.judge({
            "text/A.h": self.HEADER,
            "ir/B.h": self.HEADER + '#include "text/A.h"\n#include "ir/Ops.h.inc"\n#include "mlir/IR/Builders.h"\n',
            "cli/C.cpp": '#include "ir/B.h"\n#include <vector>\n',
            "tests/cli/C.cpp": '#include "tests/support/S.h"\n',
            "tests/support/S.h": self.HEADER,
        })
        self.assertEqual((status, lines), (0, []))

    def test_each_fault_is_named(self):
        cases = [
            ({"text/A.h": self.HEADER, "ir/B.h": self.HEADER, "text/A.cpp": '#include "ir/B.h"\n'}, "text/A.cpp:1: text/ includes"),
            ({"ir/B.h": self.HEADER, "weights/W.h": self.HEADER, "ir/B.cpp": '\n#include "weights/W.h"\n'}, "ir/B.cpp:2: ir/ includes"),
            ({"devices/D.h": self.HEADER, "importers/x/I.cpp": '#include "devices/D.h"\n'}, "importers/x/I.cpp:1: importers/ includes"),
            ({"tests/support/S.h": self.HEADER, "cli/C.cpp": '#include "tests/support/S.h"\n'}, "cli/C.cpp:1: cli/ includes"),
            ({"ir/B.h": self.HEADER, "ir/B.cpp": '#include "B.h"\n'}, 'ir/B.cpp:1: includes "B.h": write it from the root'),
            ({"ir/B.cpp": '#include "ir/Gone.h"\n'}, 'ir/B.cpp:1: includes "ir/Gone.h": no such file'),
            ({"ir/B.h": "int x;\n"}, "ir/B.h:1: lacks #pragma once"),
            ({"text/A.cpp": "#include <mlir/IR/Value.h>\n"}, "text/A.cpp:1: text/ includes mlir/IR/Value.h"),
        ]
        for files, expected in cases:
            with self.subTest(expected):
                status, lines = self.judge(files)
                self.assertEqual((status, len(lines)), (1, 1), lines)
                self.assertTrue(lines[0].startswith(expected), lines)


class Names(unittest.TestCase):
    RECIPES = {f"recipes/models/{name}.yaml": "" for name in ("llama", "qwen3", "t5", "_inert")} | {
        f"recipes/chips/{name}.yaml": "" for name in ("x86-64", "rk3588")}

    def judge(self, files):
        return run("check_names.py", self.RECIPES | files)

    def test_what_may_stand_there(self):
        status, lines = self.judge({
            "ir/A.cpp": '// as Llama does\nauto x = "llama.cpp:cpu"; /* qwen3\n rk3588 */ int inert, set5, Float5;\n#if defined(__x86_64__)\n',
            "tests/ir/A.cpp": 'auto x = "qwen3";\n',
            "docs/a.md": "Qwen3 on the RK3588: ~/.local/share, ./work/x, $HOME/root/\n",
        })
        self.assertEqual((status, lines), (0, []))

    def test_each_fault_is_named(self):
        cases = [
            ("ir/A.cpp", 'if (family == "qwen3") {}', "ir/A.cpp:1: names the model qwen3"),
            ("ir/A.cpp", "\nclass LlamaImporter;", "ir/A.cpp:2: names the model llama"),
            ("ir/A.h", "int kQwen3 = 0;", "ir/A.h:1: names the model qwen3"),
            ("ir/A.cpp", "void buildT5();\nint t5_heads;", "ir/A.cpp:2: names the model t5"),
            ("cli/A.cpp", 'auto chip = "x86_64";', "cli/A.cpp:1: names the chip x86-64"),
            ("cli/A.cpp", "bool RK3588 = true;", "cli/A.cpp:1: names the chip rk3588"),
            ("docs/a.md", "see /" + "work/x", "docs/a.md:1: names '/" + "work', a folder"),
            ("tools/a.sh", "cp x /" + "root/y", "tools/a.sh:1: names '/" + "root', a folder"),
            ("tools/a.txt", "--index https://" + "pypi" + ".org/simple", "tools/a.txt:1: names 'pypi" + ".org', a registry"),
        ]
        for name, text, expected in cases:
            with self.subTest(expected):
                status, lines = self.judge({name: text + "\n"})
                self.assertEqual((status, len(lines)), (1, 1), lines)
                self.assertTrue(lines[0].startswith(expected), lines)


class Ran(unittest.TestCase):
    JUNIT = """<?xml version="1.0"?><testsuite>
      <testcase name="a_test" status="run"><system-out>====
All tests passed (1481 assertions in 7 test cases)
</system-out></testcase>
      <testcase name="b_test" status="run"><system-out>Ran 4 tests in 0.1s

OK</system-out></testcase>
      <testcase name="c" status="run"><system-out>anything</system-out></testcase>
      <testcase name="d" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out>no GPU here</system-out></testcase>
    </testsuite>"""

    def judge(self, expected, *flags):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tools").mkdir()
            (Path(folder) / "tests").mkdir()
            (Path(folder) / "tests/ran.txt").write_text(expected)
            (Path(folder) / "tests.xml").write_text(self.JUNIT)
            script = shutil.copy(TOOLS / "check_ran.py", Path(folder) / "tools")
            done = subprocess.run([sys.executable, "-B", script, Path(folder) / "tests.xml", *flags], capture_output=True, text=True)
            return done.returncode, done.stdout.splitlines(), (Path(folder) / "tests/ran.txt").read_text()

    def test_the_same_or_more_passes(self):
        status, lines, _ = self.judge("# x\na_test 6\nb_test 4\n")
        self.assertEqual(status, 0)
        self.assertEqual(lines[0], "skipped: d: no GPU here")
        self.assertTrue(lines[1].startswith("12 cases in 3 tests, 1 skipped; 2 have more"), lines)

    def test_fewer_cases_a_lost_test_and_a_skipped_one_fail(self):
        status, lines, _ = self.judge("a_test 8\nd 1\ngone 2\n")
        self.assertEqual(status, 1)
        self.assertEqual(lines[1:4], ["lost: a_test: 7 cases, 8 last time", "lost: d: did not run", "lost: gone: did not run"])

    def test_update_writes_what_ran(self):
        status, _, text = self.judge("", "--update")
        self.assertEqual((status, text.splitlines()[1:]), (0, ["a_test 7", "b_test 4", "c 1"]))


if __name__ == "__main__":
    unittest.main()
