# Thin: every target is one line over a CMake preset or a script. Variables: PRESET=release|dev|sanitize, TESTS=<ctest regex>.
PRESET ?= release
TESTS ?= .
BUILD := build/$(PRESET)

.PHONY: all deps configure demo test fuzz test-consumers check format bench clean help

all: configure                 ## build everything; the program is build/release/flagrelease
	@cmake --build --preset $(PRESET)

demo: deps all                 ## install what is missing, build, migrate the example model, show what the result writes
	@tools/demo.sh $(BUILD)/flagrelease

test: deps all                 ## build and run every test
	@ctest --preset $(PRESET) --tests-regex '$(TESTS)' --parallel $$(nproc) --output-junit tests.xml --test-output-truncation head
	@[ '$(TESTS)' != . ] || tools/check_ran.py $(BUILD)/tests.xml

fuzz: deps                     ## feed the readers mutated files, FUZZ_SECONDS (60) for each; FUZZ="zip pickle" for some of them
	@cmake --preset fuzz
	@cmake --build --preset fuzz
	@tests/fuzz/run build/fuzz $(FUZZ)

test-consumers: deps all       ## install transformers, llama.cpp and vLLM (some GB, once), and run what needs them
	@tests/consumers/run $(BUILD)

check: deps all                ## formatting, include directions, names, generated docs
	@tools/check $(BUILD)

format:                        ## rewrite the C++ files as .clang-format wants them
	@tools/check --fix-format

bench: deps all                ## measure speed and memory, BENCH=--large on large models; docs/performance.md explains the figures
	@bench/run $(BUILD)/flagrelease $(BENCH)

deps:                          ## install missing Debian packages and the Python of the runners
	@tools/install_deps

configure: $(BUILD)/build.ninja

$(BUILD)/build.ninja:
	@cmake --preset $(PRESET)

clean:                         ## remove the build folder of this preset
	@cmake -E rm -rf $(BUILD)

help:                          ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
