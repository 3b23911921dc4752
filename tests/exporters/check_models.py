"""Judges every model under a folder with the checker and the shape inference of the Python package onnx.

    check_models.py FOLDER          exit 0 all good, 1 a model is refused, 77 the package is not there

Runs itself with the interpreter of the runner processes (FLAGRELEASE_PYTHON, else the venv of tools/install_deps).
"""
import os
import sys
from pathlib import Path


def runner_python():
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.environ.get("FLAGRELEASE_PYTHON") or os.path.join(data, "flagrelease", "venv", "bin", "python")


def engine_only(model):
    """Operators that ONNX Runtime keeps in the default domain without the standard."""
    return any(node.domain == "" and node.op_type == "SimplifiedLayerNormalization" for node in model.graph.node)


def judge(path, onnx):
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
    try:
        import onnx
    except ImportError:
        python = runner_python()
        if os.path.exists(python) and "CHECK_MODELS" not in os.environ:
            os.environ["CHECK_MODELS"] = "1"
            os.execv(python, [python, __file__, *sys.argv[1:]])
        print("skipped: no Python with the package onnx (tools/install_deps, or FLAGRELEASE_PYTHON)")
        return 77
    models = sorted(folder.rglob("*.onnx"))
    if not models:
        print("%s: no models: exporters_numbers_test did not leave any" % folder)
        return 77
    problems = [(path, problem) for path in models if (problem := judge(path, onnx))]
    for path, problem in problems:
        print("%s: %s" % (path.relative_to(folder), problem))
    print("%d models, %d refused" % (len(models), len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
