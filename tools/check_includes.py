#!/usr/bin/env python3
"""Checks which folder includes which: the direction of the pipeline, kept by a machine.

    tools/check_includes.py [ROOT]

Every `#include "folder/..."` of every C++ file below the folders of MAY_INCLUDE is judged. Exit 1 and one line per finding when
  * a folder includes one that it may not (docs/architecture.md explains the order),
  * a quoted include is not written from the root ("text/Json.h"), or names a file that neither exists nor is generated,
  * a header lacks `#pragma once`.
"""
import re
import sys
from pathlib import Path

# The column "may include" of the table of folders. Every folder may include itself and text/.
MAY_INCLUDE = {
    "text": [],
    "ir": [],
    "recipes": ["ir"],
    "weights": ["ir"],
    "importers": ["ir", "recipes", "weights"],
    "passes": ["ir", "recipes"],
    "calibrate": ["ir", "recipes", "weights", "devices"],
    "exporters": ["ir", "recipes", "weights"],
    "devices": ["ir", "weights"],
    "validators": ["ir", "recipes", "weights", "devices", "exporters"],
    "hub": ["weights"],
    "cli": ["*"],
    "bench": ["*"],
    "tools": ["*"],
    "tests": ["*", "tests"],
}
# Libraries that a folder stays free of, by the first part of the include path, with the reason.
MUST_NOT_INCLUDE = {
    "text": {"mlir": "text/ is for everybody, also for what needs no IR", "onnx": "text/ knows no format"},
}
# Made by the build: TableGen's .inc files and Protobuf's headers.
GENERATED = re.compile(r"\.(inc|pb\.h)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def judge(root, path):
    """Yields (line number, complaint) for one file."""
    folder = path.relative_to(root).parts[0]
    allowed = {folder, "text", *MAY_INCLUDE[folder]}
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".h" and "#pragma once" not in text:
        yield 1, "lacks #pragma once"
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match[1] or match[2]
        first = name.split("/")[0]
        reason = MUST_NOT_INCLUDE.get(folder, {}).get(first)
        if reason:
            yield number, f"{folder}/ includes {name}: {reason}"
        if match[1] is None:
            continue
        if first in MAY_INCLUDE and "/" in name:
            if first not in allowed and not ("*" in allowed and first != "tests"):
                yield number, f'{folder}/ includes "{name}": it may include {", ".join(sorted(allowed - {"*"}))} only'
            elif not GENERATED.search(name) and not (root / name).is_file():
                yield number, f'includes "{name}": no such file'
        elif (path.parent / name).is_file() or (root / name).is_file():
            yield number, f'includes "{name}": write it from the root of the repository'
        # Any other quoted include is a library's ("mlir/IR/Builders.h", "llvm/ADT/StringRef.h").


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    files = sorted(p for folder in MAY_INCLUDE for pattern in ("*.h", "*.cpp") for p in (root / folder).rglob(pattern))
    if not files:
        sys.exit(f"{root}: no C++ files found")
    complaints = 0
    for path in files:
        for number, complaint in judge(root, path):
            print(f"{path.relative_to(root)}:{number}: {complaint}")
            complaints += 1
    print(f"{len(files)} files, {complaints} findings", file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
