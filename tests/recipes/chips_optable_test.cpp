// Operator tables: the shipped ones load, lookups give every kind of verdict, and what is wrong in a file is said where it
// stands.
#include "recipes/ChipRecipe.h"
#include "recipes/OpTable.h"
#include "tests/recipes/chips_support.h"

using namespace flagrelease;
using namespace flagrelease::test;

static constexpr auto F32 = NumberFormat::FP32, F16 = NumberFormat::FP16, BF16 = NumberFormat::BF16, I64 = NumberFormat::Int64,
                      BOOL = NumberFormat::Bool;

static const OpTables &shipped() {
  static const OpTables tables = [] {
    Diagnostics diags;
    FailureOr<OpTables> loaded = OpTables::load(shippedRecipes("ops"), "", diags);
    INFO(said(diags));
    REQUIRE(succeeded(loaded));
    return std::move(*loaded);
  }();
  return tables;
}

TEST_CASE("the shipped operator tables load whole") {
  CHECK(shipped().names() == std::vector<std::string>{"ascend_atc", "ort_cpu", "rknn_toolkit2", "tensorrt"});
  // As many as the lists state (281, 305, 150, 89), and what corrections add.
  CHECK(shipped().find("ort_cpu")->ops.size() == 281 + 2);
  CHECK(shipped().find("ascend_atc")->ops.size() == 305 + 1);
  CHECK(shipped().find("tensorrt")->ops.size() == 150);
  CHECK(shipped().find("rknn_toolkit2")->ops.size() == 89);
  CHECK(shipped().find("rknn_toolkit2")->unsupported.contains("Trilu"));
  CHECK(shipped().find("ascend_atc")->notFound.contains("Gelu"));
  CHECK_FALSE(shipped().find("ascend_atc")->notFound.contains("Constant"));
  CHECK(shipped().find("ort_cpu")->files.size() == 3);
}

TEST_CASE("every kind of verdict from the shipped tables") {
  struct Row {
    StringRef table, domain, op;
    int64_t opset;
    std::vector<NumberFormat> operands;
    OpVerdict verdict;
    StringRef reason;
  };
  const Row rows[] = {
      // Executed evidence outranks the list, in both directions.
      {"ort_cpu", "", "MatMul", 17, {F32, F32}, OpVerdict::Executed, "executed with onnxruntime"},
      {"ort_cpu", "ai.onnx", "MatMul", 17, {F32, F32}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu", "", "MatMul", 17, {F16, F16}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu", "", "MatMul", 17, {BF16, BF16}, OpVerdict::Unsupported, "Could not find an implementation for MatMul"},
      {"ort_cpu", "", "Where", 17, {BOOL, F32, F32}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu", "", "RMSNormalization", 23, {F32, F32}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu", "", "RotaryEmbedding", 24, {F32}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu", "", "Attention", 23, {F32}, OpVerdict::Executed, "numbers compared"},
      {"ort_cpu",
       "",
       "RMSNormalization",
       22,
       {F32, F32},
       OpVerdict::Unsupported,
       "taken in opset 23 and later, the graph imports 22"},
      {"ort_cpu", "", "SimplifiedLayerNormalization", 17, {F32}, OpVerdict::Executed, "numbers not compared"},
      {"ort_cpu", "com.microsoft", "SkipSimplifiedLayerNormalization", 1, {F32}, OpVerdict::Executed, "numbers not compared"},
      {"ort_cpu", "com.microsoft", "RMSNormalization", 1, {F32}, OpVerdict::Unsupported, "not among the operators"},
      {"ort_cpu", "", "NoSuchOp", 17, {F32}, OpVerdict::Unsupported, "not among the operators"},
      {"ort_cpu", "", "MatMul", 99, {F32, F32}, OpVerdict::Unsupported, "reads opset 1 to 23, the graph imports 99"},
      {"ort_cpu", "com.microsoft", "QAttention", 1, {NumberFormat::UInt8}, OpVerdict::Native, "ONNX Runtime"},
      // A closed table with types.
      {"tensorrt", "", "MatMul", 17, {BF16, BF16}, OpVerdict::Native, "TensorRT"},
      {"tensorrt", "", "MatMul", 17, {I64, I64}, OpVerdict::Unsupported, "int64 is not among its types: fp32, fp16, bf16"},
      {"tensorrt", "", "MatMul", 17, {}, OpVerdict::Listed, "element type is not known"},
      {"tensorrt", "", "MatMul", 21, {F32, F32}, OpVerdict::Unsupported, "reads opset 9 to 20"},
      {"tensorrt", "", "Gelu", 17, {F32}, OpVerdict::Unsupported, "taken in opset 20, the graph imports 17"},
      {"tensorrt", "", "Unique", 17, {F32}, OpVerdict::Unsupported, "names it as not supported"},
      {"tensorrt", "", "RMSNormalization", 20, {F32}, OpVerdict::Unsupported, "not among the operators"},
      // Lists of names without types.
      {"rknn_toolkit2", "", "MatMul", 17, {F16, F16}, OpVerdict::Listed, "RKNN"},
      {"rknn_toolkit2", "", "Trilu", 17, {F16}, OpVerdict::Unsupported, "names it as not supported"},
      {"ascend_atc", "", "MatMul", 17, {F16, F16}, OpVerdict::Listed, "Huawei"},
      {"ascend_atc", "", "Constant", 17, {}, OpVerdict::Listed, "element type is not known"},
      {"ascend_atc", "", "ReduceL1", 18, {F32}, OpVerdict::Unsupported, "taken in opset 8 to 17"},
      // An open table: absence says nothing.
      {"ascend_atc", "", "Gelu", 18, {F32}, OpVerdict::Unknown, "looked for"},
      {"ascend_atc", "", "NoSuchOp", 18, {F32}, OpVerdict::Unknown, "which is open"},
      {"ascend_atc", "npu", "NPURmsNorm", 1, {}, OpVerdict::Listed, "Huawei"},
  };
  for (const Row &row : rows) {
    const OpTable *table = shipped().find(row.table);
    REQUIRE(table);
    OpLookup got = table->lookup(row.domain, row.op, row.opset, row.operands);
    INFO(row.table.str() << " " << row.domain.str() << ":" << row.op.str() << " opset " << row.opset << " -> "
                         << opVerdictName(got.verdict).str() << ": " << got.reason);
    CHECK(got.verdict == row.verdict);
    CHECK(StringRef(got.reason).contains(row.reason));
  }
}

TEST_CASE("limits come with the verdict, and a result can decide") {
  OpLookup topK = shipped().find("tensorrt")->lookup("", "TopK", 17, {F32});
  CHECK(topK.verdict == OpVerdict::Native);
  CHECK(StringRef(topK.limits).contains("3840"));
  OpLookup constant = shipped().find("ascend_atc")->lookup("", "Constant", 17, {}, {BF16});
  CHECK(constant.verdict == OpVerdict::Native);
  CHECK(StringRef(constant.reason).contains("onnx_constant_parser.cc"));
}

TEST_CASE("verdicts rise in trust") {
  CHECK(OpVerdict::Unsupported < OpVerdict::Unknown);
  CHECK(OpVerdict::Unknown < OpVerdict::Listed);
  CHECK(OpVerdict::Listed < OpVerdict::Native);
  CHECK(OpVerdict::Native < OpVerdict::Executed);
}

static constexpr llvm::StringLiteral kHead =
    "recipe: 1\nname: t\ntoolchain: T\nvocabulary: onnx\nclosed: true\nclosed_because: complete\nlevel: native\n"
    "opset: [7, 20]\nsource: [S]\n";

TEST_CASE("what is wrong in a table is said where it stands") {
  struct Row {
    const char *file, *text, *message;
  };
  const std::string head = kHead.str();
  const Row rows[] = {
      {"t.yaml", "ops:\n  Add: {opset: [7, latest], dtype: [fp32]}\n",
       "t.yaml:11:29: unknown key 'dtype' in an operator, nearest known: dtypes"},
      {"t.yaml", "ops:\n  Add: {opset: [7, 20], dtypes: [fp23]}\n",
       "t.yaml:11:34: 'dtypes': unknown number format 'fp23', nearest known: fp64, fp32, fp16"},
      {"t.yaml", "ops:\n  Add: {opset: [7, 20], dtypes: [fp32, fp32]}\n", "t.yaml:11:40: 'dtypes' has 'fp32' twice"},
      {"t.yaml", "ops:\n  Add: {opset: [9, 8]}\n",
       "t.yaml:11:16: 'opset' must be [first, last] with 0 <= first <= last; last may be latest"},
      {"t.yaml", "ops:\n  Add: {dtypes: [fp32]}\n", "t.yaml:11:8: an operator lacks the key 'opset'"},
      {"t.yaml", "ops:\n  \"a b\": {opset: [7, 8]}\n", "t.yaml:11:3: 'a b' is no operator: expected Name or domain:Name"},
      {"t.yaml", "ops: [Add]\n", "t.yaml:10:6: 'ops' must be a mapping of operators"},
      {"t.yaml", "ops:\n  Add: {opset: [7, 8]}\nunsupported: [Add]\n",
       "t.yaml:12:15: 'Add' stands under ops and under unsupported"},
      {"t.yaml", "ops:\n  Add: {opset: [7, 8]}\nunsupported: [Sub, Sub]\n", "t.yaml:12:20: 'Sub' stands twice under unsupported"},
      {"t.corrections.yaml", "recipe: 1\ntable: t\nops:\n  Sub: {because: x}\n",
       "t.corrections.yaml:4:8: a correction lacks the key 'opset'"},
      {"t.corrections.yaml", "recipe: 1\ntable: t\nops:\n  Add: {level: native}\n",
       "t.corrections.yaml:4:8: a correction lacks the key 'because'"},
      {"t.corrections.yaml", "recipe: 1\ntable: t\nops:\n  Add: {level: natives, because: x}\n",
       "t.corrections.yaml:4:16: 'level': unknown value 'natives', nearest known: native"},
      {"t.corrections.yaml", "recipe: 2\ntable: u\nops:\n  Add: {because: x}\n",
       "t.corrections.yaml:1:9: 'recipe' must be 1, found '2'"},
      {"t.executed.yaml", "recipe: 1\ntable: t\nengine: e\nhow: h\nops:\n  Add:\n    - {opset: [7, 8]}\n",
       "t.executed.yaml:7:7: an entry of 'Add' says nothing: it needs compared, ran or refused"},
      {"t.executed.yaml", "recipe: 1\ntable: t\nengine: e\nhow: h\nops:\n  Add: {opset: [7, 8]}\n",
       "t.executed.yaml:6:8: 'Add' must be a list of what was tried"},
      {"u.corrections.yaml", "recipe: 1\ntable: u\nops:\n  Add: {because: x}\n",
       "u.corrections.yaml: there is no table u.yaml that this file could belong to"},
  };
  for (const Row &row : rows) {
    RecipeFolder folder;
    const bool isTable = StringRef(row.file) == "t.yaml";
    folder.write("t.yaml", isTable ? head + row.text : head + "ops:\n  Add: {opset: [7, 8], dtypes: [fp32]}\n");
    if (!isTable)
      folder.write(row.file, row.text);
    Diagnostics diags;
    CHECK(failed(OpTables::load(folder.root, "", diags)));
    INFO(row.text);
    INFO(said(diags));
    CHECK(StringRef(said(diags)).contains((Twine(row.message) + "\n").str()));
  }
}

TEST_CASE("corrections and evidence change what a table says") {
  RecipeFolder folder;
  folder.write("t.yaml",
               kHead.str() + "ops:\n  Add: {opset: [7, 20], dtypes: [fp32], limits: \"two operands\"}\nunsupported: [Sub]\n");
  folder.write("t.corrections.yaml",
               "recipe: 1\ntable: t\nops:\n  Sub: {opset: [9, latest], level: listed, because: \"seen in the source\"}\n"
               "  Add: {level: unsupported, because: \"gives wrong sums\"}\n  Mul: {opset: [7, 20], dtypes: [fp16], operand: 1, "
               "because: why}\n");
  folder.write("t.executed.yaml",
               "recipe: 1\ntable: t\nengine: E 1\nhow: h\nops:\n  Div:\n    - {opset: [7, 9], compared: [fp32]}\n"
               "    - {opset: [10, 12], ran: [fp16], refused: [fp32], error: no kernel}\n");
  Diagnostics diags;
  FailureOr<OpTables> tables = OpTables::load(folder.root, "", diags);
  INFO(said(diags));
  REQUIRE(succeeded(tables));
  const OpTable &table = *tables->find("t");
  CHECK(table.lookup("", "Sub", 9, {F32}).verdict == OpVerdict::Listed);
  CHECK(table.lookup("", "Add", 9, {F32}).verdict == OpVerdict::Unsupported);
  CHECK(table.lookup("", "Add", 9, {F32}).reason == "gives wrong sums");
  CHECK(table.lookup("", "Mul", 9, {BOOL, F16}).verdict == OpVerdict::Native);
  CHECK(table.lookup("", "Mul", 9, {F16, BOOL}).verdict == OpVerdict::Unsupported);
  // Executed although no list has it; the opset and the type both decide; beyond what was tried the list speaks.
  CHECK(table.lookup("", "Div", 8, {F32}).verdict == OpVerdict::Executed);
  CHECK(table.lookup("", "Div", 8, {F16}).verdict == OpVerdict::Unsupported);
  CHECK(table.lookup("", "Div", 11, {F32}).reason == "tried with E 1: no kernel");
  CHECK(table.lookup("", "Div", 11, {F16}).reason == "executed with E 1, numbers not compared");
  CHECK(table.lookup("", "Div", 13, {F16}).verdict == OpVerdict::Unsupported);
}

TEST_CASE("an unknown table names the nearest") {
  Diagnostics diags;
  CHECK(failed(shipped().get("tensort", "here", diags)));
  CHECK(said(diags) == "here: unknown operator table 'tensort', nearest known: tensorrt\n");
}

TEST_CASE("the user's folder adds tables and replaces those of the same name") {
  RecipeFolder folder;
  folder.write(
      "tensorrt.yaml",
      "recipe: 1\nname: tensorrt\ntoolchain: mine\nvocabulary: onnx\nclosed: false\nclosed_because: mine\nlevel: listed\n"
      "opset: [7, 20]\nsource: [S]\nops: {Add: {opset: [7, 8]}}\n");
  Diagnostics diags;
  FailureOr<OpTables> tables = OpTables::load(shippedRecipes("ops"), folder.root, diags);
  INFO(said(diags));
  REQUIRE(succeeded(tables));
  CHECK(tables->find("tensorrt")->toolchain == "mine");
  CHECK_FALSE(tables->find("tensorrt")->files.front().shipped);
  CHECK(tables->find("ort_cpu")->files.front().shipped);
  CHECK(succeeded(OpTables::load(shippedRecipes("ops"), folder.root + "/absent", diags)));
}
