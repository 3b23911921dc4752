"""Judges every model under a folder with the checker and the shape inference of the Python package onnx.

    check_models.py FOLDER          exit 0 all good, 1 a model is refused or there is none
"""
import sys
from pathlib import Path

import onnx


def engine_only(model):
    """Operators that ONNX Runtime keeps in the default domain without the standard."""
    return any(node.domain == "" and node.op_type == "SimplifiedLayerNormalization" for node in model.graph.node)


def judge(path):
    model = onnx.load(path, load_external_data=False)
    if engine_only(model):
        return None
    try:
        onnx.checker.check_model(str(path), full_check=False)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # the package raises classes of its own for each way to be wrong
        return "%s: %s" % (type(error).__name__, str(error).splitlines()[0])
    for said, found in zip(model.graph.output, inferred.graph.output):
        said, found = said.type.tensor_type, found.type.tensor_type
        if said.elem_type != found.elem_type or len(said.shape.dim) != len(found.shape.dim):
            return "output type differs from what shape inference finds"
    return None


def main():
    folder = Path(sys.argv[1])
    models = sorted(folder.rglob("*.onnx"))
    problems = [(path, problem) for path in models if (problem := judge(path))]
    for path, problem in problems:
        print("%s: %s" % (path.relative_to(folder), problem))
    print("%d models, %d refused" % (len(models), len(problems)))
    return 1 if problems or not models else 0


if __name__ == "__main__":
    sys.exit(main())
