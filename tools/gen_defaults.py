#!/usr/bin/env python3
"""Writes recipes/models/_defaults.json: what config.json leaves out because it equals the default of its class.

    tools/gen_defaults.py CONFIG_DEFAULTS.json [--recipes recipes]
    tools/gen_defaults.py --add CLASS [--recipes recipes]

CONFIG_DEFAULTS.json maps names of configuration classes of transformers to {"defaults", "bases", "attribute_map",
"default_theta", ...}, as extracted from its sources. Only the classes that a recipe's `defaults:` names are written, with what
their bases add. A default that is a constant expression ("<expr> 4096 * 32") is evaluated; one that is not is an error,
because a recipe must not rest on a value that nobody knows.

--add takes one class from the transformers that this Python has, and leaves the others as they are: this is how a new family gets its
defaults.
"""

import argparse
import ast
import json
import operator
import pathlib
import re
import sys

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def constant(text):
    """The value of a constant expression; a validated field (`interval(...)(default=0.02)`) is its default."""

    def value(node):
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, (ast.Tuple, ast.List)):
            return [value(item) for item in node.elts]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            return float(ast.literal_eval(node.args[0]))
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "default":
                    return value(keyword.value)
        return ast.literal_eval(node)

    return value(ast.parse(text, mode="eval"))


def resolve(name, classes, seen=()):
    """defaults, attribute_map and default_theta of a class, bases first."""
    entry = classes.get(name)
    if entry is None or name in seen:
        return {}, {}, None
    defaults, renamed, theta = {}, {}, None
    for base in reversed(entry.get("bases") or []):
        d, m, t = resolve(base, classes, (*seen, name))
        defaults |= d
        renamed |= m
        theta = t if t is not None else theta
    for key, value in (entry.get("defaults") or {}).items():
        if isinstance(value, str) and value.startswith("<expr> "):
            try:
                value = constant(value.removeprefix("<expr> "))
            except (ValueError, SyntaxError) as error:
                sys.exit(f"{name}.{key}: {value!r} is not a constant: {error}")
        defaults[key] = value
    renamed |= entry.get("attribute_map") or {}
    if entry.get("default_theta") is not None:
        theta = entry["default_theta"]
        if isinstance(theta, dict):  # one for each kind of layer: config.json's rope_theta is that of layers without a window
            theta = theta["global"]
    return defaults, renamed, theta


def named_classes(folder):
    """Classes in `defaults: Name` and `defaults: {class: Name, …}` of the recipes."""
    names = set()
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^defaults:[ \t]*(?:\{\s*class:\s*)?([A-Za-z0-9_]+)", text, re.MULTILINE):
            names.add((match.group(1), path.name))
        for match in re.finditer(r"^defaults:\s*\n\s+class:\s*([A-Za-z0-9_]+)", text, re.MULTILINE):
            names.add((match.group(1), path.name))
        # members of config.json with a class of their own
        for match in re.finditer(r"^\s+\w+:\s*\{[^}\n]*\bdefaults:\s*([A-Z][A-Za-z0-9_]+)", text, re.MULTILINE):
            names.add((match.group(1), path.name))
    return names


def installed(name):
    """The entry of one class of the installed transformers; what all configurations have is left out."""
    import transformers

    base, found = transformers.PretrainedConfig, getattr(transformers, name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        sys.exit(f"transformers {transformers.__version__} has no configuration class {name}")
    defaults, theta = {}, None
    for part in reversed([c for c in found.__mro__ if issubclass(c, base) and c is not base]):
        defaults |= {key: part.__dict__[key] for key in part.__dict__.get("__annotations__", {}) if key in part.__dict__}
        theta = part.__dict__.get("default_theta", theta)
    return {"defaults": defaults, "attribute_map": dict(found.attribute_map), "default_theta": theta}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path, nargs="?")
    parser.add_argument("--add", metavar="CLASS")
    parser.add_argument("--recipes", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "recipes")
    arguments = parser.parse_args()
    target = arguments.recipes / "models" / "_defaults.json"
    if (arguments.source is None) == (arguments.add is None):
        parser.error("give CONFIG_DEFAULTS.json or --add CLASS")
    if arguments.add:
        out = json.loads(target.read_text(encoding="utf-8"))
        out[arguments.add] = installed(arguments.add)
        target.write_text(json.dumps(dict(sorted(out.items())), indent=1) + "\n", encoding="utf-8")
        print(f"{target}: {arguments.add} with {len(out[arguments.add]['defaults'])} defaults")
        return

    classes = json.loads(arguments.source.read_text(encoding="utf-8"))
    out = {}
    for name, recipe in sorted(named_classes(arguments.recipes / "models")):
        if name not in classes:
            sys.exit(f"{recipe}: the source has no class {name}")
        defaults, renamed, theta = resolve(name, classes)
        out[name] = {"defaults": defaults, "attribute_map": renamed, "default_theta": theta}
    target.write_text(json.dumps(out, indent=1, sort_keys=False) + "\n", encoding="utf-8")
    print(f"{target}: {len(out)} classes")


if __name__ == "__main__":
    main()
