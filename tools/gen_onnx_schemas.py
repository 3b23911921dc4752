#!/usr/bin/env python3
"""Writes ir/onnx/Schemas.inc: the operators of the ai.onnx domain as the Python package `onnx` knows them.

    FLAGRELEASE_PYTHON tools/gen_onnx_schemas.py [--check]

One row per operator and version that is in force at opset 13 or later: what an opset-13 model may use, and everything newer.
Names of element types are those of ir/onnx/Schema.cpp. With --check nothing is written; exit 1 if the file is not current.
"""
import sys
from pathlib import Path

import onnx
from onnx import defs, helper

OUT = Path(__file__).resolve().parent.parent / "ir" / "onnx" / "Schemas.inc"
OLDEST = 13
SHORT = {
    "float": "f32", "double": "f64", "float16": "f16", "bfloat16": "bf16", "bool": "i1", "string": "string",
    "complex64": "c64", "complex128": "c128",
    **{f"int{n}": f"i{n}" for n in (2, 4, 8, 16, 32, 64)}, **{f"uint{n}": f"ui{n}" for n in (2, 4, 8, 16, 32, 64)},
}
KINDS = {"INT": "i", "FLOAT": "f", "STRING": "s", "TENSOR": "t", "INTS": "I", "FLOATS": "F", "STRINGS": "S", "GRAPH": "g"}
UNBOUNDED = 2147483647


def tensor_type(text):
    """'tensor(float)' -> 'f32'; None for sequences, optionals and maps, which no module of ours holds."""
    if not text.startswith("tensor("):
        return None
    name = text[len("tensor("):-1]
    return SHORT.get(name, name.replace("float", "f"))


def formal(parameter):
    option = parameter.option.name
    mark = {"Single": "", "Optional": "?", "Variadic": "*"}[option] + ("" if parameter.is_homogeneous else "~")
    type_text = parameter.type_str
    if "(" in type_text:
        type_text = "=" + (tensor_type(type_text) or "none")
    return f"{parameter.name}{mark}:{type_text}"


def attribute(name, value):
    return f"{name}:{KINDS.get(value.type.name, 'g')}{'!' if value.required else ''}"


class Sets:
    """Each distinct list of element types once."""

    def __init__(self):
        self.index = {}

    def of(self, types):
        key = ",".join(sorted({t for t in map(tensor_type, types) if t}))
        return self.index.setdefault(key, len(self.index))


def chosen_schemas():
    by_name = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            by_name.setdefault(schema.name, []).append(schema)
    for name in sorted(by_name):
        versions = sorted(by_name[name], key=lambda s: s.since_version)
        old = [s for s in versions if s.since_version <= OLDEST][-1:]
        for schema in old + [s for s in versions if s.since_version > OLDEST]:
            yield schema


def limit(n):
    return "-1" if n >= UNBOUNDED else str(n)


def table():
    sets, rows = Sets(), []
    for s in chosen_schemas():
        types = " ".join(f"{c.type_param_str}:{sets.of(c.allowed_type_strs)}" for c in s.type_constraints)
        rows.append('ROW("ai.onnx", "%s", %d, %d, %d, %s, %d, %s, "%s", "%s", "%s", "%s")' % (
            s.name, s.since_version, s.deprecated, s.min_input, limit(s.max_input), s.min_output, limit(s.max_output),
            " ".join(map(formal, s.inputs)), " ".join(map(formal, s.outputs)),
            " ".join(attribute(n, a) for n, a in sorted(s.attributes.items())), types))
    ir_versions = {opset: ir for (domain, opset), ir in helper.OP_SET_ID_VERSION_MAP.items() if domain == "ai.onnx" and opset >= OLDEST}
    lines = [
        f"// Written by tools/gen_onnx_schemas.py from the Python package onnx {onnx.__version__}. Do not edit.",
        "// ROW(domain, name, since, deprecated, min inputs, max inputs (-1: any), min outputs, max outputs, inputs, outputs,",
        "//     attributes, type sets). `?` optional, `*` variadic, `~` types may differ, `=` a fixed type, `!` required.",
        "",
        "#ifdef VERSION",
        f'VERSION("{onnx.__version__}")',
        "#endif",
        "#ifdef OPSET // OPSET(opset, IR version)",
        *[f"OPSET({o}, {v})" for o, v in sorted(ir_versions.items())],
        "#endif",
        "#ifdef TYPES",
        *[f'TYPES({i}, "{key}")' for key, i in sets.index.items()],
        "#endif",
        "#ifdef ROW",
        *rows,
        "#endif",
        "",
    ]
    return "\n".join(lines)


def main():
    text = table()
    if sys.argv[1:] == ["--check"]:
        if not OUT.exists() or OUT.read_text() != text:
            print(f"{OUT}: not current: run tools/gen_onnx_schemas.py with onnx {onnx.__version__}", file=sys.stderr)
            return 1
        return 0
    OUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
