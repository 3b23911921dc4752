"""Parts of devices/runners that can be tried without their engines."""
import re
import sys
import types
import unittest
from pathlib import Path

RUNNERS = Path(__file__).resolve().parent.parent.parent / "devices" / "runners"


def module(name):
    """A script of devices/runners, beside the helper, under a name of its own: some are called as the package that they drive."""
    loaded = types.ModuleType("runner_" + name)
    exec(compile((RUNNERS / (name + ".py")).read_text(), name + ".py", "exec"), loaded.__dict__)
    return loaded


sys.modules["fr_runner"] = module("fr_runner")
HIDDEN = 0xFFFFFFFF
MINUS_ONE = 0xBF800000  # -1.0f


def context_params():
    """llama_context_default_params() of xllamacpp 2026.10.11549, by 4 bytes: recorded."""
    words = [512, 2048, 512, 1, 0, 0, 1, 4, 4, 0] + [HIDDEN] * 4 + [0, 0] + [MINUS_ONE] * 4 + [0, MINUS_ONE]
    words += [0] * 4 + [1, 1] + [0] * 6 + [0x01010100, 1]
    return words + [0] * (256 - len(words))


class LlamaCpp(unittest.TestCase):
    def test_fields_are_found_by_their_surroundings(self):
        runner = module("llama_cpp")
        places = runner.fields(context_params())
        self.assertEqual(places, {"n_ctx": 0, "n_batch": 1, "n_ubatch": 2, "flash_attn": 13, "type_k": 26, "type_v": 27})
        # Two more integers before the enums move everything behind them.
        grown = context_params()
        grown[9:9] = [0, 0]
        self.assertEqual(runner.fields(grown)["flash_attn"], 15)
        self.assertEqual(runner.fields(grown)["type_k"], 28)

    def test_a_struct_that_is_not_understood_is_refused(self):
        runner, helper = module("llama_cpp"), sys.modules["fr_runner"]
        for change in ({0: 4096}, {13: 0, 12: 0}, {26: 8}, {30: 1, 31: 1, 26: 0, 27: 1}):
            words = context_params()
            for place, value in change.items():
                words[place] = value
            with self.assertRaises(helper.RunnerError) as caught:
                runner.fields(words)
            self.assertEqual(caught.exception.kind, "start")
            self.assertIn("tools/install_consumers llama.cpp", caught.exception.remedy)


class Scripts(unittest.TestCase):
    def test_every_script_names_its_tier_and_a_remedy(self):
        for path in RUNNERS.glob("*.py"):
            if path.name == "fr_runner.py":
                continue
            text = path.read_text()
            self.assertRegex(text, r"\nREMEDY = \"run tools/install_(deps|consumers)")
            self.assertEqual(len(re.findall(r"fr_runner\.serve\(\"%s\", \w+(, tier=\"T[123]\")?\)" % path.stem, text)), 1, path.name)


if __name__ == "__main__":
    unittest.main()
