"""The reference evaluator of the onnx package: slow, exact, and an engine of its own."""
import os

import fr_runner

DTYPES = {1: "F32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64"}  # TensorProto.DataType


class OnnxReference(fr_runner.Runner):
    def __init__(self):
        # Not at the top of the file: the helper must have moved the protocol's pipes away before an engine prints.
        self.onnx = fr_runner.need("onnx", "pip install onnx in the environment of this runner")
        self.model = None

    def probe(self):
        return {"engine": "onnx-reference", "engine_version": self.onnx.__version__, "chip": fr_runner.host_probe()["cpu"]}

    def load(self, path, outputs, threads):
        from onnx.reference import ReferenceEvaluator

        model = self.onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.external_data:
                self.embed(tensor, os.path.dirname(path))
        try:
            self.model = ReferenceEvaluator(model)
        except NotImplementedError as error:
            raise fr_runner.RunnerError("unsupported", str(error))
        self.outputs = outputs or [o.name for o in model.graph.output]
        return {"inputs": [self.spec(i) for i in model.graph.input],
                "outputs": [self.spec(o) for o in model.graph.output if o.name in self.outputs]}

    def embed(self, tensor, folder):
        """Puts the bytes of an initializer into the model: the package refuses files that have two links."""
        where = {entry.key: entry.value for entry in tensor.external_data}
        with open(os.path.join(folder, where["location"]), "rb") as file:
            file.seek(int(where["offset"]))
            tensor.raw_data = file.read(int(where["length"]))
        del tensor.external_data[:]
        tensor.data_location = self.onnx.TensorProto.DEFAULT

    def spec(self, value):
        tensor = value.type.tensor_type
        return fr_runner.spec(value.name, DTYPES[tensor.elem_type], [d.dim_param or d.dim_value for d in tensor.shape.dim])

    def run(self, inputs):
        answers = self.model.run(self.outputs, {name: tensor.array for name, tensor in inputs.items()})
        return dict(zip(self.outputs, answers))


if __name__ == "__main__":
    fr_runner.serve("onnx-reference", OnnxReference)
