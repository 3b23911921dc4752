"""A runner as devices/runners/README.md describes them: numpy is the engine. The model file says what to do."""
import fr_runner


class Minimal(fr_runner.Runner):
    def __init__(self):
        self.numpy = fr_runner.need("numpy", "install numpy")

    def probe(self):
        print("an engine that prints while it is probed")
        return {"chip": "numpy", "engine": "numpy", "engine_version": self.numpy.__version__}

    def load(self, path, outputs, threads):
        with open(path) as file:
            self.what = file.read().strip()
        if self.what == "unknown":
            raise fr_runner.RunnerError("unsupported", "no such model", "try another")
        return {"inputs": [fr_runner.spec("x", "F32", ["B"])], "outputs": [fr_runner.spec("y", "BF16", ["B"])]}

    def run(self, inputs):
        if self.what == "memory":
            raise MemoryError("3 GiB wanted")
        if self.what == "error":
            raise ZeroDivisionError("by nothing")
        if self.what == "random":
            return {"y": fr_runner.Tensor(self.numpy.random.randint(0, 2**15, 64).astype("uint16"), "BF16")}
        bits = inputs["x"].array.view("uint32") >> 16
        return {"y": fr_runner.Tensor(bits.astype("uint16"), "BF16")}


if __name__ == "__main__":
    fr_runner.serve("minimal", Minimal, tier="T3")
