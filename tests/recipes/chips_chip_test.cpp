// Chip recipes: the shipped ones load with their tables, commands are filled word by word, and problems carry line and column.
#include "recipes/ChipRecipe.h"
#include "tests/recipes/chips_support.h"

using namespace flagrelease;
using namespace flagrelease::test;

static const ChipSet &shipped() {
  static const ChipSet chips = [] {
    Diagnostics diags;
    FailureOr<ChipSet> loaded = ChipSet::load(shippedRecipes("chips"), "", diags);
    INFO(said(diags));
    REQUIRE(succeeded(loaded));
    return std::move(*loaded);
  }();
  return chips;
}

TEST_CASE("the shipped chips load and name tables that exist") {
  CHECK(shipped().names() == std::vector<std::string>{"arm64", "ascend-910b3", "nvidia-a100", "rk3588", "x86-64"});
  Diagnostics diags;
  FailureOr<OpTables> tables = OpTables::load(shippedRecipes("ops"), "", diags);
  REQUIRE(succeeded(tables));
  CHECK(succeeded(checkToolchains(shipped(), *tables, diags)));
  INFO(said(diags));
  CHECK(diags.errors().empty());
}

TEST_CASE("what a planner asks of a chip") {
  const ChipRecipe *npu = shipped().find("ascend-910b");
  REQUIRE(npu);
  CHECK(npu->name == "ascend-910b3");
  CHECK(npu->memoryGib() == 64);
  CHECK(npu->memory->gbPerS == 1600);
  CHECK(npu->memory->source.front().find("HAMi") != std::string::npos);
  CHECK_FALSE(npu->isHostCpu());
  CHECK(npu->supports(NumberFormat::BF16) == Support::Native);
  CHECK(npu->supports(NumberFormat::Int4) == Support::WeightOnly);
  CHECK(npu->supports(NumberFormat::FP8E4M3FN) == Support::None);
  CHECK(npu->supports(NumberFormat::FP4E2M1) == std::nullopt);
  CHECK(npu->formats() == std::vector<std::string>{"hf", "onnx", "gguf"});
  const Toolchain *atc = npu->toolchain("onnx");
  REQUIRE(atc);
  CHECK(atc->ops == "ascend_atc");
  CHECK(atc->opset.str() == "8 to 18");
  CHECK(atc->staticShapes);
  CHECK_FALSE(atc->linksAllowed);
  CHECK(atc->shipped);
  CHECK(atc->artefact == "*.om");
  CHECK(npu->toolchain("native") == nullptr);
  CHECK(npu->toolchain("hf")->loads == std::vector<std::string>{"compressed-tensors-w8a8"});
  CHECK(llvm::is_contained(npu->toolchain("hf")->architectures, "Qwen3ForCausalLM"));
  CHECK(npu->toolchain("hf")->serve.argv[2] == "{model}");
  CHECK(npu->toolchain("hf")->serve.image == "quay.io/ascend/vllm-ascend:v0.13.0");
  CHECK(npu->toolchain("hf")->serve.source.size() == 2);

  const ChipRecipe *cpu = shipped().find("x86-64");
  REQUIRE(cpu);
  CHECK(cpu->isHostCpu());
  CHECK(cpu->hostMachines == std::vector<std::string>{"x86_64"});
  CHECK(cpu->memoryGib() == std::nullopt);
  CHECK(cpu->toolchains.front().format == "onnx");
  CHECK(cpu->toolchains.front().computesIn(NumberFormat::FP32));
  CHECK_FALSE(cpu->toolchains.front().computesIn(NumberFormat::BF16));
  CHECK(cpu->toolchains.front().storesIn(NumberFormat::BF16));
  CHECK(cpu->toolchains.front().linksAllowed);
  CHECK(cpu->toolchain("gguf")->ops.empty());
  CHECK(shipped().find("rk3588")->memoryGib() == 32);
  CHECK(shipped().find("rk3588")->memory->shared);
}

TEST_CASE("a probe identifies a chip") {
  CHECK(shipped().ofHost("x86_64")->name == "x86-64");
  CHECK(shipped().ofHost("aarch64")->name == "arm64");
  CHECK(shipped().ofHost("riscv64") == nullptr);
  const ChipRecipe &npu = *shipped().find("ascend-910b3");
  CHECK(npu.isShownBy("| 0     910B3               | OK            | 94.7 |"));
  CHECK(npu.isShownBy("Ascend910B3"));
  CHECK_FALSE(npu.isShownBy("| 0     910B32              | OK |"));
  CHECK_FALSE(npu.isShownBy("| 0     910B2               | OK |"));
  CHECK(npu.isShownBy("910B31 910B3"));
  CHECK_FALSE(shipped().find("x86-64")->isShownBy("910B3"));
  CHECK(shipped().find("nvidia-a100")->isShownBy("name, memory.total [MiB]\nNVIDIA A100-SXM4-80GB, 81920 MiB\n"));
}

TEST_CASE("compile commands are filled word by word") {
  const NamedShape inputs[] = {{"input_ids", {1, 512}}, {"attention_mask", {1, 512}}};
  const ChipRecipe &npu = *shipped().find("ascend-910b3");
  CHECK(compileCommand(npu, *npu.toolchain("onnx"), "a b/m.onnx", "out/{soc}", inputs) ==
        std::vector<std::string>{"atc", "--model=a b/m.onnx", "--framework=5", "--output=out/{soc}", "--soc_version=Ascend910B3",
                                 "--input_shape=input_ids:1,512;attention_mask:1,512", "--precision_mode_v2=origin"});
  const ChipRecipe &gpu = *shipped().find("nvidia-a100");
  CHECK(compileCommand(gpu, *gpu.toolchain("onnx"), "m", "o", inputs)[5] == "--minShapes=input_ids:1x512,attention_mask:1x512");
  CHECK(compileCommand(gpu, *gpu.toolchain("onnx"), "m", "o", inputs)[2] == "--saveEngine=o.plan");
  const ChipRecipe &soc = *shipped().find("rk3588");
  std::vector<std::string> words = compileCommand(soc, *soc.toolchain("onnx"), "m", "o", inputs);
  CHECK(std::vector<std::string>(words.end() - 3, words.end()) == std::vector<std::string>{"m", "o.rknn", "rk3588"});
  CHECK(StringRef(words[2]).contains("sys.argv[1:]"));
}

TEST_CASE("an unknown chip names the nearest") {
  Diagnostics diags;
  CHECK(failed(shipped().get("ascend-910b4", "--chip", diags)));
  CHECK(StringRef(said(diags)).starts_with("--chip: unknown chip 'ascend-910b4', nearest known: ascend-910b3"));
  CHECK(StringRef(diags.errors().front().remedy).starts_with("known: arm64, ascend-910b3"));
}

TEST_CASE("the Markdown page has every chip, toolchain and source") {
  const std::string page = chipsMarkdown(shipped());
  for (StringRef part : {"| 64 GiB, 1600 GB/s |", "up to 32 GiB, shared", "the host's", "ascend\\_atc",
                         "fp32 82.9, bf16 304.3, fp16 313.2, int8 608.6 (measured)", "### nvidia", "static"})
    CHECK(StringRef(page).contains(part));
}

static const std::string kTail = "vendor: v\nclass: {origin: CN, kind: cloud}\nsoc: S\nidentify: {query_contains: [S]}\nquery: "
                                 "[q]\nconfidence: low\nsources: [A, B]\n";
static const std::string kMemory = "memory: {gib: 8, src: [1]}\n";
static const std::string kDtypes = "dtypes: {fp16: native, src: [2]}\n";
static const std::string kTools = "toolchains: [{format: hf, engine: e, src: [1]}]\n";
static const std::string kHead = "recipe: 1\nname: c\n";

TEST_CASE("what is wrong in a chip is said where it stands") {
  struct Row {
    std::string text;
    const char *message;
  };
  const Row rows[] = {
      {kHead + "vender: v\n" + kTail + kMemory + kDtypes + kTools,
       "c.yaml:3:1: unknown key 'vender' in a chip, nearest known: vendor"},
      {"recipe: 1\nname: d\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:2:7: 'name' is 'd', the file is c.yaml"},
      {"recipe: 1\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:1:1: a chip lacks the key 'name'"},
      {"recipe: 7\nname: c\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:1:9: 'recipe' must be 1, found '7'"},
      {kHead + kTail + "memory: {gib: 8}\n" + kDtypes + kTools, "c.yaml:10:9: figures without a source"},
      {kHead + kTail + "memory: {gib: 8, src: [3]}\n" + kDtypes + kTools, "c.yaml:10:24: 'src' names source '3', there are 2"},
      {kHead + kTail + "memory: {gib: 8, src: []}\n" + kDtypes + kTools,
       "c.yaml:10:23: 'src' must be a list of numbers that count the entries of 'sources' from 1"},
      {kHead + kTail + "memory: {gib: -8, src: [1]}\n" + kDtypes + kTools,
       "c.yaml:10:15: 'gib' must be a number above 0, found '-8'"},
      {kHead + kTail + "memory: {gib: \"8\", src: [1]}\n" + kDtypes + kTools,
       "c.yaml:10:15: 'gib' must be a number above 0, found '8'"},
      {kHead + kTail + "memory: {gib: 8, max_gib: 9, src: [1]}\n" + kDtypes + kTools,
       "c.yaml:10:9: 'memory' needs either 'gib' or 'max_gib'"},
      {kHead + kTail + kDtypes + kTools, "c.yaml:1:1: a chip lacks the key 'memory'"},
      {kHead + kTail + kMemory + "dtypes: {fp17: native, src: [1]}\n" + kTools,
       "c.yaml:11:10: unknown number format 'fp17', nearest known: "},
      {kHead + kTail + kMemory + "dtypes: {fp16: nativ, src: [1]}\n" + kTools,
       "c.yaml:11:16: 'fp16': unknown value 'nativ', nearest known: native"},
      {kHead + kTail + kMemory + "dtypes: {fp16: native}\n" + kTools, "c.yaml:11:9: figures without a source"},
      {kHead + kTail + kMemory + kDtypes + "peak: {fp16: 3}\n" + kTools, "c.yaml:12:7: figures without a source"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: []\n",
       "c.yaml:12:13: 'toolchains' must be a list with at least one toolchain"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hff, engine: e, src: [1]}]\n",
       "c.yaml:12:23: 'format': unknown value 'hff', nearest known: hf"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hf, src: [1]}]\n",
       "c.yaml:12:14: a toolchain lacks the key 'engine'"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hf, engine: e}]\n", "c.yaml:12:14: figures without a source"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hf, engine: e, src: [1], static_shapes: yes}]\n", "c.yaml:12:"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: onnx, engine: e, ops: t, src: [1]}]\n",
       "c.yaml:12:14: a toolchain lacks the key 'opset'"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: onnx, engine: e, src: [1], links: no way}]\n",
       "c.yaml:12:57: 'links': unknown value 'no way'"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: onnx, engine: e, src: [1], artefact: \"*.x\", compile: [cc, \"{modell}\", \"{model}\", "
           "\"{out}\"]}]\n",
       "c.yaml:12:81: unknown placeholder '{modell}', nearest known: {model}"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: onnx, engine: e, src: [1], artefact: \"*.x\", compile: [cc, \"{model}\"]}]\n",
       "c.yaml:12:76: 'compile' lacks {out}"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: onnx, engine: e, src: [1], compile: [cc, \"{model}\", \"{out}\"]}]\n",
       "c.yaml:12:59: a toolchain with 'compile' needs 'artefact', the glob of what the command leaves"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hf, engine: e, src: [1], serve: {argv: [e, \"{model}\"]}}]\n",
       "c.yaml:12:55: figures without a source"},
      {kHead + kTail + kMemory + kDtypes + "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [e]}}]\n",
       "'argv' lacks {model}"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [\"{model}\", \"{soc}\"]}}]\n",
       "unknown placeholder '{soc}'"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [\"{model}\"], image: {name: \"a/b\", src: "
           "[1]}}}]\n",
       "the image 'a/b' has no version"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [\"{model}\"], image: {name: "
           "\"a:1/b:latest\", "
           "src: [1]}}}]\n",
       "the image 'a:1/b:latest' has no version"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [\"{model}\"], image: {name: \"a/b:1\"}}}]\n",
       "figures without a source"},
      {kHead + kTail + kMemory + kDtypes +
           "toolchains: [{format: hf, engine: e, src: [1], serve: {src: [1], argv: [\"{model}\"], packages: {names: [e], src: "
           "[1]}}}]\n",
       "the package 'e' has no version"},
      {kHead + "like: d\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:3:7: 'like' names no other chip: 'd'"},
      {kHead + "aka: [c]\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:3:7: the alias 'c' is the name of a chip"},
      {kHead + "aka: [x, x]\n" + kTail + kMemory + kDtypes + kTools, "c.yaml:3:10: the alias 'x' is taken by c"},
      {kHead + "vendor: v\nvendor: w\n", "c.yaml:4:1: "},
      {"- recipe\n", "c.yaml:1:1: expected a mapping (a chip), found a sequence"},
      {kHead +
           "vendor: v\nclass: {origin: CN, kind: host-cpu}\nsoc: S\nidentify: {query_contains: [S]}\nquery: [q]\nconfidence: "
           "low\nsources: [A, B]\n" +
           kMemory + kDtypes + kTools,
       "c.yaml:1:1: a chip of kind host-cpu is identified by 'host', and only such a chip is"},
      {kHead +
           "vendor: v\nclass: {origin: CN, kind: cloud}\nsoc: S\nidentify: {}\nquery: [q]\nconfidence: low\nsources: [A, B]\n" +
           kMemory + kDtypes + kTools,
       "c.yaml:6:11: 'identify' needs either 'host' or 'query_contains'"},
  };
  for (const Row &row : rows) {
    RecipeFolder folder;
    folder.write("c.yaml", row.text);
    Diagnostics diags;
    INFO(row.text);
    CHECK(failed(ChipSet::load(folder.root, "", diags)));
    INFO(said(diags));
    CHECK(StringRef(said(diags)).contains(row.message));
  }
  // The text that the rows vary is itself sound.
  RecipeFolder folder;
  folder.write("c.yaml", kHead + kTail + kMemory + kDtypes + kTools);
  Diagnostics diags;
  CHECK(succeeded(ChipSet::load(folder.root, "", diags)));
}

TEST_CASE("all problems of a file come in one run") {
  RecipeFolder folder;
  folder.write("c.yaml", kHead + kTail + "memory: {gib: 0}\ndtypes: {fp17: native}\n" + kTools);
  Diagnostics diags;
  CHECK(failed(ChipSet::load(folder.root, "", diags)));
  CHECK(diags.errors().size() == 5);
}

TEST_CASE("like: takes what the file does not state, with the other file's sources") {
  RecipeFolder folder;
  folder.write("c.yaml", kHead + "aka: [cc]\n" + kTail + kMemory + kDtypes + kTools);
  folder.write("d.yaml", "recipe: 1\nname: d\nlike: c\nsoc: D\nmemory: {gib: 16, src: [1]}\nsources: [C]\n");
  Diagnostics diags;
  FailureOr<ChipSet> chips = ChipSet::load(folder.root, "", diags);
  INFO(said(diags));
  REQUIRE(succeeded(chips));
  const ChipRecipe &chip = *chips->find("d");
  CHECK(chip.soc == "D");
  CHECK(chip.vendor == "v");
  CHECK(chip.aka.empty());
  CHECK(chip.memoryGib() == 16);
  CHECK(chip.memory->source == std::vector<std::string>{"C"});
  CHECK(chip.dtypesSource == std::vector<std::string>{"B"});
  CHECK(chip.toolchains.size() == 1);
  CHECK(chips->find("cc")->name == "c");

  folder.write("c.yaml", "recipe: 1\nname: c\nlike: d\n");
  CHECK(failed(ChipSet::load(folder.root, "", diags)));
  CHECK(StringRef(said(diags)).contains("'like' chains are at most 3 deep"));
}

TEST_CASE("commands of the user's own folder are marked") {
  RecipeFolder mine;
  mine.write("c.yaml", kHead + kTail + kMemory + kDtypes + kTools);
  mine.write("d.yaml", "recipe: 1\nname: d\nlike: ascend-910b3\nsoc: D\n");
  Diagnostics diags;
  FailureOr<ChipSet> chips = ChipSet::load(shippedRecipes("chips"), mine.root, diags);
  INFO(said(diags));
  REQUIRE(succeeded(chips));
  CHECK_FALSE(chips->find("c")->toolchains.front().shipped);
  CHECK_FALSE(chips->find("c")->queryShipped);
  CHECK(chips->find("d")->toolchains.front().shipped);
  CHECK(chips->find("x86-64")->queryShipped);
}

TEST_CASE("a toolchain whose table is missing, or speaks of other opsets") {
  RecipeFolder folder;
  folder.write("c.yaml", kHead + kTail + kMemory + kDtypes +
                             "toolchains:\n  - {format: onnx, engine: e, ops: tensort, opset: [9, 20], src: [1]}\n"
                             "  - {format: onnx, engine: e, ops: tensorrt, opset: [21, 22], src: [1]}\n");
  Diagnostics diags;
  FailureOr<ChipSet> chips = ChipSet::load(folder.root, "", diags);
  FailureOr<OpTables> tables = OpTables::load(shippedRecipes("ops"), "", diags);
  REQUIRE((succeeded(chips) && succeeded(tables)));
  CHECK(failed(checkToolchains(*chips, *tables, diags)));
  CHECK(said(diags) == "c.yaml:13:5: unknown operator table 'tensort', nearest known: tensorrt\n"
                       "c.yaml:14:5: the toolchain reads opset 21 to 22, its operator table 'tensorrt' speaks of 9 to 20\n");
}

TEST_CASE("a folder without recipes is the installation's fault") {
  RecipeFolder folder;
  Diagnostics diags;
  CHECK(failed(ChipSet::load(folder.root, "", diags)));
  CHECK(failed(ChipSet::load(folder.root + "/absent", "", diags)));
  REQUIRE(diags.errors().size() == 2);
  CHECK(diags.errors()[0].cause == Cause::Environment);
  CHECK(diags.errors()[1].cause == Cause::Environment);
}
