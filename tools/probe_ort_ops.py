#!/usr/bin/env python3
"""Writes recipes/ops/ort_cpu.executed.yaml: which operators ONNX Runtime's CPU provider was seen to run, with which element types.

    python3 tools/probe_ort_ops.py          needs onnxruntime, onnx, ml_dtypes and numpy

Two sources of one-node models:
  * the conformance cases of the onnx package, at the opset they were written for and at the newest that the engine takes, compared
    with the outputs that come with them; an operator counts when all of its cases of one element type pass;
  * the probes below: the operators of language models, in every opset from 13 on and in fp32, fp16 and bf16 (and int64, bool where
    they are used so), compared with onnx's reference evaluator, or only run where that has no such operator.
"""
import pathlib
import sys
import warnings

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as TP
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

TARGET = pathlib.Path(__file__).resolve().parent.parent / "recipes" / "ops" / "ort_cpu.executed.yaml"
FIRST = 13
MS = "com.microsoft"
NAMES = {TP.FLOAT: "fp32", TP.FLOAT16: "fp16", TP.BFLOAT16: "bf16", TP.DOUBLE: "fp64", TP.INT64: "int64", TP.INT32: "int32",
         TP.INT16: "int16", TP.INT8: "int8", TP.UINT64: "uint64", TP.UINT32: "uint32", TP.UINT16: "uint16", TP.UINT8: "uint8",
         TP.INT4: "int4", TP.UINT4: "uint4", TP.BOOL: "bool", TP.STRING: "string"}
# The operand whose type decides, where it is not the first (as in ort_cpu.corrections.yaml).
OPERAND = {"Where": 1}
FLOATS = (TP.FLOAT, TP.FLOAT16, TP.BFLOAT16)
DATA = FLOATS + (TP.INT64, TP.BOOL)
NUMBERS = FLOATS + (TP.INT64,)
SMALL = (TP.INT8, TP.UINT8, TP.INT4, TP.UINT4)
rng = np.random.default_rng(0)


def session(model):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def close(got, want, loose):
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return False
    if want.dtype.kind not in "fV" and got.dtype.kind not in "fV":
        return bool((got == want).all())
    return bool(np.allclose(got.astype(np.float64), want.astype(np.float64), rtol=loose, atol=loose, equal_nan=True))


def short(error):
    """The engine's message without its prefix and without the names of our nodes."""
    text = " ".join(str(error).split())
    text = text.split(" : ", 3)[-1] if text.startswith("[") else text
    for tail in (" node with name", " in node (", ", node name"):
        text = text.split(tail)[0]
    return text[:160]


def x(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


class Probe:
    """One operator: `args` are arrays; those marked by `typed` take the element type under test. `out`: T, int64 or bool."""

    def __init__(self, op, args, attrs=None, typed=(0,), types=FLOATS, out="T", domain="", first=FIRST, positive=False, outputs=1, want=None):
        """`want`: what an operator outside the standard should give, from the inputs by name ("i0", "i1", ...)."""
        self.want = want
        self.op, self.args, self.attrs, self.typed, self.types = op, args, attrs or {}, typed, types
        self.out, self.domain, self.first, self.positive, self.outputs = out, domain, first, positive, outputs

    def model(self, opset, dtype):
        """Inputs in fp32 (integers and booleans as they are), cast to `dtype` before the node and back after it."""
        nodes, infos, names, feeds = [], [], [], {}
        for i, value in enumerate(self.args):
            if value is None:
                names.append("")
                continue
            if i in self.typed and dtype in FLOATS:
                value = np.abs(value) + np.float32(0.1) if self.positive else value.astype(np.float32)
                infos.append(helper.make_tensor_value_info(f"i{i}", TP.FLOAT, value.shape))
                nodes.append(helper.make_node("Cast", [f"i{i}"], [f"c{i}"], to=dtype))
                names.append(f"c{i}")
            elif i in self.typed and dtype in SMALL:
                value = (np.abs(value * 3).astype(np.int64) % 8).astype(np.uint8)  # what every small type holds
                infos.append(helper.make_tensor_value_info(f"i{i}", TP.UINT8, value.shape))
                nodes.append(helper.make_node("Cast", [f"i{i}"], [f"c{i}"], to=dtype))
                names.append(f"c{i}")
            else:
                if i in self.typed:
                    value = (np.abs(value * 3).astype(np.int64) + 1) if dtype == TP.INT64 else value > 0
                infos.append(helper.make_tensor_value_info(f"i{i}", helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
                names.append(f"i{i}")
            feeds[f"i{i}"] = value
        back = self.out == "T" and dtype in FLOATS
        outs = ["y"] + [f"y{k}" for k in range(1, self.outputs)]
        attrs = self.attrs(dtype) if callable(self.attrs) else self.attrs
        nodes.append(helper.make_node(self.op, names, outs, domain=self.domain, **attrs))
        if back:
            nodes.append(helper.make_node("Cast", ["y"], ["r"], to=TP.FLOAT))
        kind = {"T": TP.FLOAT if back else dtype, "int64": TP.INT64, "int32": TP.INT32, "bool": TP.BOOL, "float": TP.FLOAT}[self.out]
        result = helper.make_tensor_value_info("r" if back else "y", kind, None)
        imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(self.domain, 1)] if self.domain else [])
        return helper.make_model(helper.make_graph(nodes, "g", infos, [result]), opset_imports=imports, ir_version=10), feeds

    def run(self, opset, dtype):
        """"compared", "ran" or ("refused", why)."""
        model, feeds = self.model(opset, dtype)
        try:
            got = session(model).run(None, feeds)[0]
        except Exception as error:  # every engine error is an answer here
            return "refused", short(error)
        loose = {TP.FLOAT: 2e-5, TP.FLOAT16: 1e-2, TP.BFLOAT16: 8e-2}.get(dtype, 2e-5 if self.out == "float" else 0)
        if self.want:
            return ("compared", "") if close(got, self.want(feeds), loose) else ("refused", "the numbers differ from the formula")
        if self.domain:
            return "ran", ""
        reference, feeds = self.model(opset, TP.FLOAT if dtype in FLOATS else dtype)
        if dtype in FLOATS:
            rounded = {TP.FLOAT: np.float32, TP.FLOAT16: np.float16, TP.BFLOAT16: ml_dtypes.bfloat16}[dtype]
            feeds = {k: v.astype(rounded).astype(np.float32) if v.dtype == np.float32 else v for k, v in feeds.items()}
        try:
            want = ReferenceEvaluator(reference).run(None, feeds)[0]
        except Exception:
            return "ran", ""
        return ("compared", "") if close(got, want, loose) else ("refused", "the numbers differ from the reference")


def numbers_of(packed, bits, count):
    """uint8 [.., n] -> the unsigned integers in it, from the lowest bits on: [.., count]."""
    parts = np.stack([(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)], -1)
    return parts.reshape(*packed.shape[:-1], -1)[..., :count].astype(np.float64)


def blocked_product(feeds, bits):
    """MatMulNBits by its description (docs/ContribOperators.md): A times the transposed weight (q - zero) * scale."""
    blocks, size = feeds["i1"].shape[1], feeds["i1"].shape[2] * 8 // bits
    zeros = numbers_of(feeds["i3"], bits, blocks) if "i3" in feeds else np.full(feeds["i2"].shape, 1 << (bits - 1))
    weight = (numbers_of(feeds["i1"], bits, size) - zeros[..., None]) * feeds["i2"][..., None]
    return feeds["i0"].astype(np.float64) @ weight.reshape(len(weight), -1).T


def probes():
    one, two, w = x(2, 3, 8), x(2, 3, 8), x(8, 4)
    heads, kv = x(1, 4, 5, 16), x(1, 2, 5, 16)
    cos, sin, position = x(32, 8), x(32, 8), np.arange(5, dtype=np.int64)[None]
    for op in ("Abs", "Neg", "Relu"):
        yield Probe(op, [one], types=NUMBERS)
    for op in ("Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Round", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh"):
        yield Probe(op, [one])
    for op in ("Log", "Sqrt", "Reciprocal"):
        yield Probe(op, [one], positive=True)
    yield Probe("HardSwish", [one], first=14)
    yield Probe("Mish", [one], first=18)
    yield Probe("Gelu", [one], first=20)
    yield Probe("Swish", [one], first=24)
    for op in ("Add", "Sub", "Mul", "Div"):
        yield Probe(op, [one, two], typed=(0, 1), types=NUMBERS, positive=op == "Div")
    for op in ("Max", "Min"):
        yield Probe(op, [one, two], typed=(0, 1), types=NUMBERS)
    yield Probe("Mod", [one, two], typed=(0, 1), types=(TP.INT64,))
    yield Probe("Pow", [one, two], typed=(0, 1), positive=True)
    yield Probe("MatMul", [one, w], typed=(0, 1), types=NUMBERS)
    yield Probe("Gemm", [x(3, 8), w, x(4)], typed=(0, 1, 2))
    yield Probe("Softmax", [one], {"axis": -1})
    yield Probe("LogSoftmax", [one], {"axis": -1})
    yield Probe("LayerNormalization", [one, x(8), x(8)], {"axis": -1}, typed=(0, 1, 2), first=17)
    yield Probe("RMSNormalization", [one, x(8)], {"axis": -1, "epsilon": 1e-5}, typed=(0, 1), first=23)
    yield Probe("RotaryEmbedding", [heads, cos, sin, position], typed=(0, 1, 2), first=23)
    yield Probe("Attention", [heads, kv, kv], {"is_causal": 1}, typed=(0, 1, 2), first=23)
    yield Probe("TensorScatter", [x(1, 2, 8, 16), x(1, 2, 1, 16), ints(3)], {"axis": 2}, typed=(0, 1), first=24)
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2", "ReduceProd"):
        # `axes` became an input in opset 18; both spellings are probed and joined.
        yield Probe(op, [one], {"axes": [-1]}, types=NUMBERS if op not in ("ReduceMean", "ReduceL2") else FLOATS)
        yield Probe(op, [one, ints(-1)], types=NUMBERS if op not in ("ReduceMean", "ReduceL2") else FLOATS, first=18)
    yield Probe("ReduceSum", [one, ints(-1)], types=NUMBERS)
    yield Probe("ArgMax", [one], {"axis": -1}, types=NUMBERS, out="int64")
    yield Probe("TopK", [one, ints(2)], types=NUMBERS, outputs=2)
    yield Probe("CumSum", [one, np.array(1, np.int64)], types=NUMBERS)
    yield Probe("Concat", [one, two], {"axis": 1}, typed=(0, 1), types=DATA)
    yield Probe("Expand", [x(1, 3, 1), ints(2, 3, 8)], types=DATA)
    yield Probe("Flatten", [one], types=DATA)
    yield Probe("Gather", [one, ints(1, 0)], {"axis": 1}, types=DATA)
    yield Probe("GatherElements", [one, np.zeros((2, 3, 2), np.int64)], {"axis": 2}, types=DATA)
    yield Probe("GatherND", [one, np.array([[0, 1], [1, 2]], np.int64)], types=DATA)
    yield Probe("Identity", [one], types=DATA)
    yield Probe("Pad", [one, ints(0, 0, 1, 0, 0, 2)], types=DATA)
    yield Probe("Reshape", [one, ints(6, 8)], types=DATA)
    yield Probe("ScatterElements", [one, np.zeros((2, 3, 2), np.int64), x(2, 3, 2)], {"axis": 2}, typed=(0, 2), types=DATA)
    yield Probe("ScatterND", [one, np.array([[0, 1], [1, 2]], np.int64), x(2, 8)], typed=(0, 2), types=DATA)
    yield Probe("Slice", [one, ints(1), ints(7), ints(2), ints(2)], types=DATA)
    yield Probe("Split", [one, ints(5, 3)], {"axis": 2}, types=DATA, outputs=2)
    yield Probe("Squeeze", [x(2, 1, 8), ints(1)], types=DATA)
    yield Probe("Tile", [one, ints(1, 2, 1)], types=DATA)
    yield Probe("Transpose", [one], {"perm": [0, 2, 1]}, types=DATA)
    yield Probe("Trilu", [x(2, 5, 5)], {"upper": 0}, types=DATA, first=14)
    yield Probe("Unsqueeze", [one, ints(0)], types=DATA)
    yield Probe("Where", [one > 0, one, two], typed=(1, 2), types=DATA)
    yield Probe("Shape", [one], types=DATA, out="int64")
    yield Probe("Size", [one], types=DATA, out="int64")
    yield Probe("Clip", [one, np.array(-0.5, np.float32), np.array(0.5, np.float32)], typed=(0, 1, 2))
    yield Probe("IsNaN", [one], out="bool")
    yield Probe("Cast", [one], {"to": TP.FLOAT}, types=DATA, out="float")
    for block in (0, 4):
        scales = np.abs(x(4, 2) if block else x(4)) + np.float32(0.1)
        yield Probe("DequantizeLinear", [x(4, 8), scales, x(*scales.shape)], {"axis": 1, "block_size": block} if block else {"axis": 0},
                    typed=(0, 2), types=SMALL if block else SMALL[:2], out="float", first=21 if block else FIRST)
    yield Probe("MatMulInteger", [x(2, 3, 8), x(8, 4)], typed=(0, 1), types=SMALL[:2], out="int32")
    yield Probe("BitShift", [x(2, 8), x(1)], {"direction": "RIGHT"}, typed=(0, 1), types=(TP.UINT8,))
    yield Probe("BitwiseAnd", [x(2, 8), x(1)], typed=(0, 1), types=(TP.UINT8,), first=18)
    for op in ("Gather", "Concat", "Expand", "Reshape", "Transpose", "Slice", "Unsqueeze"):
        args = {"Gather": [one, ints(1, 0)], "Concat": [one, two], "Expand": [x(1, 3, 1), ints(2, 3, 8)], "Reshape": [one, ints(6, 8)],
                "Transpose": [one], "Slice": [one, ints(1), ints(7), ints(2), ints(2)], "Unsqueeze": [one, ints(0)]}[op]
        attrs = {"Gather": {"axis": 1}, "Concat": {"axis": 1}, "Transpose": {"perm": [0, 2, 1]}}.get(op)
        yield Probe(op, args, attrs, typed=(0, 1) if op == "Concat" else (0,), types=SMALL[:2])
    for dtype in SMALL:
        yield Probe("Cast", [one], {"to": TP.FLOAT}, types=(dtype,), out="float")
    yield Probe("Range", [np.array(n, np.int64) for n in (0, 7, 2)], typed=(), types=(TP.INT64,))
    yield Probe("Constant", [], lambda dtype: {"value": helper.make_tensor("v", dtype, [2], [1, 0])}, types=DATA)
    yield Probe("ConstantOfShape", [ints(2, 3)], typed=(), types=(TP.INT64,), out="float")
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        yield Probe(op, [one, two], typed=(0, 1), types=NUMBERS + ((TP.BOOL,) if op == "Equal" else ()), out="bool")
    for op in ("And", "Or", "Xor"):
        yield Probe(op, [one, two], typed=(0, 1), types=(TP.BOOL,), out="bool")
    yield Probe("Not", [one], types=(TP.BOOL,), out="bool")
    # The engine keeps this one in ONNX's own domain although ONNX has no such operator.
    yield Probe("SimplifiedLayerNormalization", [one, x(8)], {"axis": -1, "epsilon": 1e-5}, typed=(0, 1))
    yield Probe("SkipSimplifiedLayerNormalization", [one, two, x(8)], {"epsilon": 1e-5}, typed=(0, 1, 2), domain=MS)
    yield Probe("SkipLayerNormalization", [one, two, x(8), x(8)], {"epsilon": 1e-5}, typed=(0, 1, 2, 3), domain=MS)
    for op in ("Gelu", "FastGelu", "QuickGelu"):
        yield Probe(op, [one], domain=MS)
    yield Probe("BiasGelu", [one, x(8)], typed=(0, 1), domain=MS)
    yield Probe("FusedMatMul", [one, x(4, 8)], {"transB": 1}, typed=(0, 1), domain=MS)
    yield Probe("RotaryEmbedding", [heads, position, cos, sin], typed=(0, 2, 3), domain=MS)
    yield Probe("MultiHeadAttention", [x(1, 5, 64), x(1, 5, 64), x(1, 5, 64)], {"num_heads": 4}, typed=(0, 1, 2), domain=MS)
    yield Probe("GroupQueryAttention", [x(1, 5, 64), x(1, 5, 32), x(1, 5, 32), np.zeros((1, 2, 0, 16), np.float32),
                                        np.zeros((1, 2, 0, 16), np.float32), np.array([4], np.int32), np.array(5, np.int32), cos, sin],
                {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1}, typed=(0, 1, 2, 3, 4, 7, 8), domain=MS, outputs=3)
    for bits in (4, 8):
        for zeros in (None, rng.integers(0, 255, (32, (3 * bits + 7) // 8)).astype(np.uint8)):
            yield Probe("MatMulNBits", [x(2, 96), rng.integers(0, 255, (32, 3, 32 * bits // 8)).astype(np.uint8), np.abs(x(32, 3)) / 64,
                                        zeros], {"K": 96, "N": 32, "bits": bits, "block_size": 32}, typed=(0, 2), domain=MS,
                        want=lambda feeds, bits=bits: blocked_product(feeds, bits))
    yield Probe("MoE", [x(4, 64), x(4, 4), x(4, 64, 64), None, x(4, 64, 64)], {"k": 2, "activation_type": "silu"}, typed=(0, 1, 2, 4), domain=MS)


def newest_opset():
    value = [helper.make_tensor_value_info(n, TP.FLOAT, [2]) for n in "xy"]
    for opset in range(onnx.defs.onnx_opset_version(), FIRST, -1):
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
        try:
            session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))
            return opset
        except Exception:
            continue
    raise SystemExit("the engine takes no opset that the onnx package knows")


def conformance(found, top):
    """Adds what the conformance cases show: one entry per operator and type, when all cases agree."""
    votes = {}
    for case in collect_testcases(None):
        model = case.model
        if model is None or len(model.graph.node) != 1 or not case.data_sets:
            continue
        node = model.graph.node[0]
        index = OPERAND.get(node.op_type, 0)
        infos = {i.name: i for i in model.graph.input}
        deciding = node.input[index] if len(node.input) > index else None
        info = infos.get(deciding, model.graph.output[0] if not node.input else None)
        if node.domain or info is None or info.type.WhichOneof("value") != "tensor_type":
            continue
        dtype = NAMES.get(info.type.tensor_type.elem_type)
        since = next(o.version for o in model.opset_import if not o.domain)
        if dtype is None or since > top:
            continue
        good = True
        for opset in sorted({max(since, 7), top}):
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            copy.ir_version = min(copy.ir_version, 10)
            for entry in copy.opset_import:
                if not entry.domain:
                    entry.version = opset
            try:
                runner = session(copy)
                for feeds, wants in case.data_sets:
                    named = dict(zip([i.name for i in runner.get_inputs()], feeds))
                    for got, want in zip(runner.run(None, named), wants):
                        good = good and close(got, want, 1e-2 if dtype in ("fp16", "bf16") else max(case.rtol, 1e-5))
            except Exception:
                good = False
        votes.setdefault((node.op_type, dtype, since), []).append(good)
    for (op, dtype, since), results in votes.items():
        if all(results):
            for opset in range(max(since, 7), top + 1):
                found.setdefault(op, {}).setdefault(opset, {}).setdefault(dtype, ("compared", ""))


def probe_all(found, top):
    for probe in probes():
        key = f"{probe.domain}:{probe.op}" if probe.domain else probe.op
        for dtype in probe.types:
            for opset in range(probe.first, top + 1):
                outcome = probe.run(opset, dtype)
                at = found.setdefault(key, {}).setdefault(1 if probe.domain else opset, {})
                # Two probes of one operator: what one spelling of it can do, the engine can do.
                if at.get(NAMES[dtype], ("refused", ""))[0] == "refused":
                    at[NAMES[dtype]] = outcome


def quote(text):
    return '"' + "".join(c for c in text if c.isprintable()).replace("\\", "\\\\").replace('"', '\\"') + '"'


def entries(by_opset):
    """Neighbouring opsets with the same outcomes become one entry."""
    spans = []
    for opset in sorted(by_opset):
        outcomes = {dtype: kind for dtype, (kind, _) in by_opset[opset].items()}
        if spans and spans[-1][1] == opset - 1 and spans[-1][2] == outcomes:
            spans[-1][1] = opset
        else:
            error = next((why for kind, why in by_opset[opset].values() if kind == "refused"), "")
            spans.append([opset, opset, outcomes, error])
    order = list(NAMES.values())
    for first, last, outcomes, error in spans:
        fields = [f"opset: [{first}, {last}]"]
        for kind in ("compared", "ran", "refused"):
            dtypes = sorted((d for d, k in outcomes.items() if k == kind), key=order.index)
            if dtypes:
                fields.append(f"{kind}: [{', '.join(dtypes)}]")
        if error:
            fields.append(f"error: {quote(error)}")
        yield "{" + ", ".join(fields) + "}"


def main():
    warnings.filterwarnings("ignore")
    ort.set_default_logger_severity(4)
    np.seterr(all="ignore")
    top = newest_opset()
    found = {}
    probe_all(found, top)
    conformance(found, top)
    out = ["# Operators that ONNX Runtime's CPU provider was seen to run, written by tools/probe_ort_ops.py: do not edit.",
           "# compared: the numbers are right; ran: not compared; refused: did not load or run, or gave other numbers.",
           "recipe: 1", "table: ort_cpu", f"engine: onnxruntime {ort.__version__}",
           f'how: "one-node models, graph optimisation off: conformance cases of onnx {onnx.__version__} and the probes of the script; opset up to {top}"',
           "ops:"]
    for op in sorted(found, key=lambda n: (":" in n, n.lower(), n)):
        out.append(f"  {quote(op) if ':' in op else op}:")
        out += [f"    - {entry}" for entry in entries(found[op])]
    TARGET.write_text("\n".join(out) + "\n", encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(found)} operators, opset up to {top}", file=sys.stderr)


if __name__ == "__main__":
    main()
