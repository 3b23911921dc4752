"""ONNX Runtime with one fault: HOW says which. What it is called with and loads is as with device ort:cpu."""
import os
import sys
import time

import fr_runner

HOW = os.environ.get("HOW", "")


def main():
    # The shipped runner, not a copy of it. RUNNERS is its folder.
    sys.path.append(os.environ["RUNNERS"])
    import ort

    class Distorts(ort.Ort):
        def run(self, inputs):
            if HOW == "noisy":
                for stream in (1, 2):
                    for _ in range(32):
                        os.write(stream, b"engine says hello \x1b[31m " * 2000 + b"\n")
            elif HOW == "hang":
                time.sleep(1000)
            elif HOW == "dies":
                os.write(2, b"assertion failed: kernel 7\n")
                os.abort()
            elif HOW == "memory":
                raise MemoryError("3 GiB wanted")
            answers = super().run(inputs)
            logits = answers["logits"].array
            if HOW == "nan":
                logits = logits * self.numpy.float32("nan")
            elif HOW == "infinite":
                logits = logits + self.numpy.float32("inf")
            elif HOW == "constant":
                logits = logits * 0 + 1
            elif HOW == "random":
                logits = logits + self.numpy.random.standard_normal(logits.shape).astype("float32") * 1e-7
            elif HOW == "scaled":
                logits = logits * self.numpy.float32(1.01)
            elif HOW == "shape":
                logits = logits[..., :-1].copy()
            answers["logits"] = fr_runner.Tensor(self.numpy.ascontiguousarray(logits, dtype="float32"))
            return answers

    fr_runner.serve("distorts", Distorts)


if __name__ == "__main__":
    main()
