"""ONNX Runtime on the CPU: device ort:cpu. Loads model.onnx, or a folder with one .onnx file; external data beside it."""
import os

import fr_runner

REMEDY = "run tools/install_deps, or set FLAGRELEASE_PYTHON to a Python that has onnxruntime and numpy"

# TensorProto.DataType (onnx.proto): number -> safetensors name. ONNX Runtime's own names map to the numbers.
NAMES = {1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 12: "U32",
         13: "U64", 16: "BF16", 17: "F8_E4M3", 19: "F8_E5M2"}
NUMBERS = {name: number for number, name in NAMES.items()}
TYPES = {"float": "F32", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "int32": "I32", "int64": "I64",
         "bool": "BOOL", "float16": "F16", "double": "F64", "uint32": "U32", "uint64": "U64", "bfloat16": "BF16",
         "float8e4m3fn": "F8_E4M3", "float8e5m2": "F8_E5M2"}

# Exceptions of onnxruntime.capi.onnxruntime_pybind11_state by name -> error class, at load and at run; and what their texts say.
AT_LOAD = {"NotImplemented": "unsupported", "InvalidProtobuf": "bad-model", "InvalidGraph": "bad-model", "NoSuchFile": "bad-model",
           "InvalidArgument": "bad-model", "NoModel": "bad-model", "Fail": "bad-model"}
AT_RUN = {"NotImplemented": "unsupported", "InvalidArgument": "bad-input"}
SAYS = [("is not a registered function/op", "unsupported"), ("No Op registered for", "unsupported"),
        ("Unsupported model IR version", "unsupported"),
        ("is under development and support for this is limited", "unsupported"), ("Got invalid dimensions for input", "bad-input"),
        ("Invalid rank for input", "bad-input"), ("Failed to allocate memory", "oom"), ("bad_alloc", "oom"), ("out of memory", "oom"),
        ("terminate flag", "cancelled")]


def dtype_of(argument):
    inner = argument.type[len("tensor("):-1] if argument.type.startswith("tensor(") else argument.type
    if inner not in TYPES:
        raise fr_runner.RunnerError("unsupported", "%s has type %s, which is no tensor that can be exchanged"
                                    % (argument.name, argument.type))
    return TYPES[inner]


class Ort(fr_runner.Runner):
    def __init__(self):
        self.ort = fr_runner.need("onnxruntime", REMEDY)
        self.numpy = fr_runner.need("numpy", REMEDY)
        self.session, self.options = None, None
        self.ort.disable_telemetry_events()

    def probe(self):
        return {"engine": "onnxruntime", "engine_version": self.ort.__version__, "chip": fr_runner.host_probe()["cpu"],
                "versions": {"numpy": self.numpy.__version__}}

    def load(self, path, outputs, threads):
        if os.path.isdir(path):
            found = sorted(name for name in os.listdir(path) if name.endswith(".onnx"))
            if len(found) != 1:
                raise fr_runner.RunnerError("bad-model", "%d .onnx files in %s, not one" % (len(found), os.path.basename(path)))
            path = os.path.join(path, found[0])
        options = self.ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = self.ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        # Spinning threads starve the other processes of a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = None  # the old model goes before the new one comes
        self.session = self.guard(AT_LOAD, lambda: self.ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
        self.types = {a.name: dtype_of(a) for a in self.session.get_inputs() + self.session.get_outputs()}
        declared = [a.name for a in self.session.get_outputs()]
        unknown = [name for name in outputs if name not in declared]
        if unknown:
            raise fr_runner.RunnerError("bad-input", "the model has no output %s; it has %s" % (unknown[0], ", ".join(declared[:20])))
        self.outputs = outputs or declared
        return {"inputs": [fr_runner.spec(a.name, self.types[a.name], a.shape) for a in self.session.get_inputs()],
                "outputs": [fr_runner.spec(a.name, self.types[a.name], a.shape) for a in self.session.get_outputs()
                            if a.name in self.outputs]}

    def guard(self, classes, call):
        try:
            return call()
        except Exception as error:
            text, kind = str(error), type(error).__name__
            for words, said in SAYS:
                if words in text:
                    raise fr_runner.RunnerError(said, text)
            raise fr_runner.RunnerError(classes.get(kind, "failed"), "%s: %s" % (kind, text))

    def run(self, inputs):
        if self.session is None:
            raise fr_runner.RunnerError("bad-input", "no model is loaded")
        known = [a.name for a in self.session.get_inputs()]
        for name in inputs:
            if name not in known:
                raise fr_runner.RunnerError("bad-input", "the model has no input %s; it has %s" % (name, ", ".join(known[:20])))
        for name in known:
            if name not in inputs:
                raise fr_runner.RunnerError("bad-input", "input %s is missing" % name)
            if inputs[name].dtype != self.types[name]:
                raise fr_runner.RunnerError("bad-input", "input %s is %s, the model wants %s"
                                            % (name, inputs[name].dtype, self.types[name]))
        self.options = self.ort.RunOptions()
        self.options.log_severity_level = 3
        return self.guard(AT_RUN, lambda: self.bound(inputs))

    def bound(self, inputs):
        """Through an IO binding: the plain call knows no types beyond numpy's."""
        state = self.ort.OrtValue
        binding = self.session.io_binding()
        keep = []
        for name, tensor in inputs.items():
            if tensor.dtype in fr_runner.RAW:
                value = state.ortvalue_from_numpy_with_onnx_type(tensor.array, NUMBERS[tensor.dtype])
            else:
                value = state.ortvalue_from_numpy(tensor.array)
            keep.append((tensor.array, value))
            binding.bind_ortvalue_input(name, value)
        for name in self.outputs:
            binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding, self.options)
        answers = {}
        for name, value in zip(self.outputs, binding.get_outputs()):
            answers[name] = self.fetch(value, self.types[name])
        return answers

    def fetch(self, value, dtype):
        if dtype not in fr_runner.RAW:
            return fr_runner.Tensor(value.numpy(), dtype)
        import ctypes

        shape = value.shape()
        count = 1
        for size in shape:
            count *= size
        kind, width = fr_runner.DTYPES[dtype]
        bits = ctypes.string_at(value.data_ptr(), count * width) if count else b""
        return fr_runner.Tensor(self.numpy.frombuffer(bits, dtype=kind).reshape(shape), dtype)

    def cancel(self):
        options = self.options
        if options is not None:
            options.terminate = True


if __name__ == "__main__":
    fr_runner.serve("ort", Ort)
