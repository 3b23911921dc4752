#!/usr/bin/env python3
"""Writes recipes/ops/<name>.yaml from a folder of operator lists (one text file per toolchain, as extracted from its source).

    tools/gen_op_tables.py LISTS            rewrites the tables
    tools/gen_op_tables.py LISTS --check    exit 1 and a diff if a committed table is not what the lists give

A list holds `# key: text` headers and lines `Name min-max dtypes [| limitation]`. What a list cannot say about itself (is it
complete? what do its dtypes speak of?) stands in TABLES below, with the reason. Corrections by hand are never made in a
generated table: they stand in recipes/ops/<name>.corrections.yaml.
"""
import argparse
import difflib
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "recipes" / "ops"

# List spelling -> spelling of the tables (recipes/NumberFormat.h). A name in neither is an error.
DTYPES = {
    "fp64": "fp64", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "bool": "bool", "str": "string",
    "float8e4m3fn": "fp8e4m3fn", "float8e4m3fnuz": "fp8e4m3fnuz", "float8e5m2": "fp8e5m2", "float8e5m2fnuz": "fp8e5m2fnuz",
    **{n: n for n in ("int64", "int32", "int16", "int8", "int4", "uint64", "uint32", "uint16", "uint8", "uint4")},
}

TABLES = {
    "ort_cpu": {
        "closed": (True, "the kernel registry of the execution provider, printed by the engine's own build; operators that the "
                         "engine expands into others, and kernels without type variables, stand in the corrections and in what was executed"),
        "level": "native",
        "opset": (1, 23),
        "dtypes_of": ("first-operand", "the list keeps only the first type variable of the newest kernel"),
    },
    "ascend_atc": {
        "closed": (False, "the list is of registered ONNX plugins; control flow and constants are read by the parser itself"),
        "level": "listed",
        "opset": (8, 18),
    },
    "tensorrt": {
        "closed": (True, "the parser's page names every ONNX operator, supported or not"),
        "level": "native",
        "opset": (9, 20),
        "dtypes_of": ("first-operand", "the page lists the data types of an operator without saying of which operand"),
        # `inf64` is a slip of the source; the parser's FP8 is the E4M3 of the ONNX type FLOAT8E4M3FN.
        "spelling": {"inf64": "int64", "fp8": "fp8e4m3fn"},
    },
    "rknn_toolkit2": {
        "closed": (True, "the page names every ONNX operator of opset 19, supported or not"),
        "level": "listed",
        "opset": (1, 19),
    },
}

ABSENT_HEADERS = {
    "NOT supported": "unsupported",
    "ONNX-standard ops with no plugin registration found": "not_found",
}
LINE = re.compile(r"^(?P<name>[A-Za-z0-9_.:]+) (?P<min>\d+)-(?P<max>\d+|latest) (?P<dtypes>\S+)(?: \| (?P<limits>.+))?$")
NAME = re.compile(r"^[A-Za-z0-9_.:]+$")


class BadList(Exception):
    pass


def quote(text):
    """A double-quoted YAML scalar (every text is quoted: no YAML reader then disagrees about it)."""
    if any(ord(c) < 32 for c in text):
        raise BadList(f"control character in {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wrap(words, indent, width=128):
    lines, line = [], " " * indent
    for i, word in enumerate(words):
        word += "" if i == len(words) - 1 else ","
        if len(line) + 1 + len(word) > width and line.strip():
            lines.append(line)
            line = " " * indent
        line += (" " if line.strip() else "") + word
    lines.append(line)
    return lines


def key(name):
    return quote(name) if ":" in name else name


def read_list(path, spec):
    """Header texts, names that the list denies, and the entries of one list."""
    head, absent, entries = {"toolchain": [], "source": [], "notes": []}, {}, {}
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            text = line[1:].strip()
            title, _, rest = text.partition(":")
            if title == "format":
                continue
            if title in ABSENT_HEADERS:
                names = [n.strip() for n in rest.split(",")]
                bad = [n for n in names if not NAME.match(n)]
                if bad:
                    raise BadList(f"{where}: not an operator name: {bad}")
                absent[ABSENT_HEADERS[title]] = names
            elif title in ("toolchain", "source"):
                head[title].append(rest.strip())
            else:
                head["notes"].append(text)
            continue
        match = LINE.match(line)
        if not match:
            raise BadList(f"{where}: not `Name min-max dtypes [| limitation]`: {line!r}")
        if match["name"] in entries:
            raise BadList(f"{where}: {match['name']} stands twice")
        dtypes = None
        if match["dtypes"] != "?":
            dtypes = []
            for word in match["dtypes"].rstrip(",").split(","):
                word = spec.get("spelling", {}).get(word, word)
                if word not in DTYPES and word not in DTYPES.values():
                    raise BadList(f"{where}: unknown dtype {word!r}")
                word = DTYPES.get(word, word)
                if word not in dtypes:
                    dtypes.append(word)
        entries[match["name"]] = (match["min"], match["max"], dtypes, match["limits"])
    if not head["toolchain"] or not head["source"] or not entries:
        raise BadList(f"{path.name}: no `# toolchain:`, `# source:` or no operators")
    return head, absent, entries


def render(name, path, spec):
    head, absent, entries = read_list(path, spec)
    closed, because = spec["closed"]
    out = [
        f"# {head['toolchain'][0]}: operators, generated by tools/gen_op_tables.py from the list {path.name}. Do not edit:",
        f"# what is known better stands in {name}.corrections.yaml, what was seen to run in {name}.executed.yaml.",
        "recipe: 1",
        f"name: {name}",
        f"toolchain: {quote(head['toolchain'][0])}",
        "vocabulary: onnx",
        f"closed: {'true' if closed else 'false'}",
        f"closed_because: {quote(because)}",
        f"level: {spec['level']}",
        f"opset: [{spec['opset'][0]}, {spec['opset'][1]}]",
    ]
    if "dtypes_of" in spec:
        out += [f"dtypes_of: {spec['dtypes_of'][0]}  # {spec['dtypes_of'][1]}"]
    for title, texts in (("source", [s.strip() for t in head["source"] for s in t.split(";")]), ("notes", head["notes"])):
        if texts:
            out.append(f"{title}:")
            out += [f"  - {quote(t)}" for t in texts]
    out.append("ops:")
    for op in sorted(entries, key=lambda n: (":" in n, n.lower(), n)):
        low, high, dtypes, limits = entries[op]
        fields = [f"opset: [{low}, {high}]"]
        if dtypes:
            fields.append(f"dtypes: [{', '.join(dtypes)}]")
        if limits:
            fields.append(f"limits: {quote(limits)}")
        out.append(f"  {key(op)}: {{{', '.join(fields)}}}")
    for title in ("unsupported", "not_found"):
        names = absent.get(title)
        if not names:
            continue
        both = sorted(set(names) & set(entries))
        if both:
            raise BadList(f"{path.name}: listed and denied: {both}")
        out.append(f"{title}: [")
        out += wrap([key(n) for n in sorted(set(names), key=str.lower)], 4)
        out.append("  ]")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=pathlib.Path, help="folder with the operator lists")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a table is not current")
    args = parser.parse_args()
    stale = 0
    for name, spec in TABLES.items():
        source, target = args.lists / f"{name}.txt", FOLDER / f"{name}.yaml"
        try:
            text = render(name, source, spec)
        except (BadList, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        old = target.read_text(encoding="utf-8") if target.exists() else ""
        if old == text:
            continue
        if args.check:
            stale += 1
            sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), str(target), "generated"))
        else:
            target.write_text(text, encoding="utf-8")
            print(f"wrote {target.name}")
    if stale:
        print(f"error: {stale} table(s) are not current: run tools/gen_op_tables.py {args.lists}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
