#!/usr/bin/env python3
"""Checks that no test got lost: each one that ran last time ran again, with at least as many cases in it.

    tools/check_ran.py JUNIT.xml             compares with tests/ran.txt; exit 1 names what is missing
    tools/check_ran.py JUNIT.xml --update    writes tests/ran.txt

JUNIT.xml is what `ctest --output-junit` wrote. The cases in a test program are counted from its last lines (Catch2, Python's
unittest, lit); a test that counts nothing is one case.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

RAN = Path(__file__).resolve().parent.parent / "tests" / "ran.txt"
COUNTS = [
    re.compile(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)"),  # Catch2
    re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE),  # unittest
    re.compile(r"^\s*Passed\s*:\s*(\d+)", re.MULTILINE),  # lit
]


def cases(output):
    for pattern in COUNTS:
        found = pattern.findall(output)
        if found:
            return int(found[-1])
    return 1


def read_junit(path):
    """({test: cases that ran}, {test: why it was skipped})"""
    ran, skipped = {}, {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, output = case.get("name"), case.findtext("system-out") or ""
        skip = case.find("skipped")
        if skip is not None or case.get("status") in ("notrun", "disabled"):
            why = (skip.get("message") if skip is not None else None) or "not run"
            skipped[name] = output.strip().splitlines()[-1] if output.strip() else why
        else:
            ran[name] = cases(output)
    return ran, skipped


def main():
    words = [w for w in sys.argv[1:] if w != "--update"]
    if len(words) != 1:
        sys.exit(__doc__.strip())
    ran, skipped = read_junit(words[0])
    for name in sorted(skipped):
        print(f"skipped: {name}: {skipped[name]}")
    if "--update" in sys.argv:
        RAN.write_text("# Tests and the cases in them, written by tools/check_ran.py --update. `make test` fails when fewer run.\n"
                       + "".join(f"{name} {ran[name]}\n" for name in sorted(ran)))
        return
    lines = RAN.read_text().splitlines() if RAN.exists() else []
    expected = {name: int(count) for name, count in (line.split() for line in lines if line and not line.startswith("#"))}
    lost = [f"{name}: did not run" if name not in ran else f"{name}: {ran[name]} cases, {count} last time"
            for name, count in sorted(expected.items()) if ran.get(name, 0) < count]
    for line in lost:
        print(f"lost: {line}")
    new = [name for name in ran if ran[name] > expected.get(name, 0)]
    print(f"{sum(ran.values())} cases in {len(ran)} tests, {len(skipped)} skipped"
          + (f"; {len(new)} have more than tests/ran.txt says: tools/check_ran.py {words[0]} --update" if new else ""))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
