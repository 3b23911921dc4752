"""lit: every tests/**/*.mlir is run by its RUN lines, against the tools of one build folder."""
import os

import lit.formats

config.name = "flagrelease"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["fixtures", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.flagrelease_binary_dir, "tests", "lit")
# Words of RUN lines; nothing else of the environment reaches a test.
config.environment["PATH"] = os.pathsep.join([config.flagrelease_binary_dir, config.llvm_tools_dir, "/usr/bin", "/bin"])
