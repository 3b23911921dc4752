// Quantised checkpoints that are damaged or not what their config says: one row per mistake, with place, value and remedy. And
// the numbers of the one way of storing that no dense family has.
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "importers/huggingface/quantised/Quantised.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"
#include "text/Json.h"
#include "weights/Safetensors.h"
#include "weights/params/ParamEvaluator.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <functional>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
const std::string kQ = "model.layers.0.self_attn.q_proj", kGptq = "quant-gptq-int4-g32-desc-act-qwen3",
                  kSorted = "quant-gptq-int2-g32-llama", kAwq = "quant-awq-int4-g32-llama",
                  kPacked = "quant-ct-w4a16-packed-g32-llama", kAsym = "quant-ct-w4a16-asym-g32-llama",
                  kOrdered = "quant-ct-w4a16-actorder-llama", kInt8 = "quant-ct-w8a8-int8-llama", kNvfp4 = "quant-ct-nvfp4-llama",
                  kFp8 = "quant-fp8-block128-qwen3", kTensorFp8 = "quant-fp8-tensor-llama", kNf4 = "quant-bnb-nf4-llama",
                  kNested = "quant-bnb-nf4-nested-llama", kBnb8 = "quant-bnb-int8-llama",
                  kModelOpt = "quant-modelopt-nvfp4-llama", kModelOptFp8 = "quant-modelopt-fp8-llama";
const std::string kMlp = "model.layers.0.mlp.up_proj";

struct Broken {
  TempFolder folder;
  NamedTensors tensors;
  std::string config;
  Diagnostics diags;

  explicit Broken(const std::string &fixture) {
    REQUIRE(succeeded(materialise(fixturePath(fixture), folder.path, diags)));
    tensors = *readSafetensors(folder / "model.safetensors", diags);
    config = readFile(folder / "config.json");
  }
  void set(const std::string &from, const std::string &to) {
    const size_t at = config.find(from);
    REQUIRE(at != std::string::npos);
    config.replace(at, from.size(), to);
  }
  HostTensor &at(const std::string &name) {
    REQUIRE(tensors.count(name));
    return tensors.at(name);
  }
  void drop(const std::string &name) { REQUIRE(tensors.erase(name) == 1); }
  void reshape(const std::string &name, std::vector<int64_t> shape) { at(name) = HostTensor(at(name).type, std::move(shape)); }
  void retype(const std::string &name, DType type) { at(name) = HostTensor(type, at(name).shape); }
  void text(const std::string &name, const std::string &content) {
    at(name) = HostTensor(DType::U8, {static_cast<int64_t>(content.size())});
    std::memcpy(at(name).bytes.data(), content.data(), content.size());
  }
  std::string textOf(const std::string &name) { return {at(name).as<char>(), at(name).bytes.size()}; }

  /// Imports and reads every param; what was said.
  std::string problems() {
    REQUIRE(succeeded(writeSafetensors(folder / "model.safetensors", tensors, {}, diags)));
    writeFile(folder / "config.json", config);
    if (succeeded(run()))
      return "";
    return test::textOf(diags);
  }

private:
  LogicalResult run() {
    FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
    REQUIRE(succeeded(recipes));
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
    if (failed(checkpoint))
      return failure();
    mlir::MLIRContext context;
    ImportOptions options;
    options.task = "causal_lm";
    FailureOr<Imported> imported = importHuggingFace(*checkpoint, *recipes, options, context, diags);
    if (failed(imported))
      return failure();
    ParamEvaluator evaluator(*checkpoint, *openSources(*checkpoint, diags));
    for (fr::ParamOp param : imported->module->getOps<fr::ParamOp>()) {
      HostTensor out;
      llvm::ArrayRef<int64_t> shape = mlir::cast<mlir::RankedTensorType>(param.getType()).getShape();
      out = HostTensor(*dtypeOf(elementOf(param.getType())), {shape.begin(), shape.end()});
      if (failed(evaluator.readBytes(param, 0, out.bytes, nullptr, diags)))
        return failure();
    }
    return success();
  }
};

struct Row {
  const char *what;
  std::string fixture;
  std::function<void(Broken &)> damage;
  std::vector<std::string> words;
};

const Row kRows[] = {
    {"unknown method",
     kGptq,
     [](Broken &b) { b.set("\"gptq\",\n    \"checkpoint", "\"gtpq\",\n    \"checkpoint"); },
     {"config.json: quantization_config.quant_method", "'gtpq'", "gptq", "known are: gptq, awq"}},
    {"no method",
     kGptq,
     [](Broken &b) { b.set("\"quant_method\"", "\"quantmethod\""); },
     {"config.json: quantization_config.quant_method", "is missing", "known are"}},
    {"config that is no mapping",
     kInt8,
     [](Broken &b) {
       b.config = R"({"quantization_config": ["fp8"], )" + b.config.substr(b.config.find('"'));
       b.set("\"quantization_config\": {", "\"other\": {");
     },
     {"config.json: quantization_config", "not a mapping", "correct config.json"}},

    {"gptq of 5 bits",
     kGptq,
     [](Broken &b) { b.set("\"bits\": 4", "\"bits\": 5"); },
     {"config.json: quantization_config.bits", "5 is none of 2, 3, 4, 8"}},
    {"bits that are text",
     kGptq,
     [](Broken &b) { b.set("\"bits\": 4", "\"bits\": \"four\""); },
     {"config.json: quantization_config.bits", "\"four\"", "not an integer"}},
    {"desc_act that is a number",
     kGptq,
     [](Broken &b) { b.set("\"desc_act\": true", "\"desc_act\": 1"); },
     {"config.json: quantization_config.desc_act", "1, not true or false"}},
    {"unknown checkpoint_format",
     kGptq,
     [](Broken &b) { b.set("\"checkpoint_format\": \"gptq\"", "\"checkpoint_format\": \"marlin\""); },
     {"config.json: quantization_config.checkpoint_format", "'marlin'", "gptq, gptq_v2"}},
    {"group of 0",
     kGptq,
     [](Broken &b) { b.set("\"group_size\": 32", "\"group_size\": 0"); },
     {"config.json: quantization_config.group_size", "0 is no size"}},
    {"gptq without qzeros",
     kGptq,
     [](Broken &b) { b.drop(kQ + ".qzeros"); },
     {kQ + ".qzeros", "is missing", "gptq", "complete the download"}},
    {"gptq without scales", kGptq, [](Broken &b) { b.drop(kQ + ".scales"); }, {kQ + ".scales", "is missing"}},
    {"gptq without qweight",
     kGptq,
     [](Broken &b) { b.drop(kQ + ".qweight"); },
     {kQ + ".weight", "missing", kQ + ".scales", "left over"}},
    {"desc_act without g_idx", kGptq, [](Broken &b) { b.drop(kQ + ".g_idx"); }, {kQ + ".g_idx", "is missing"}},
    {"two problems in one run",
     kGptq,
     [](Broken &b) { b.drop(kQ + ".qzeros"), b.drop(kMlp + ".scales"); },
     {kQ + ".qzeros", kMlp + ".scales"}},
    {"qweight of floats",
     kGptq,
     [](Broken &b) { b.retype(kQ + ".qweight", DType::F32); },
     {kQ + ".qweight", "is F32 [8, 64]", "I32 [K * 4 / 32, N]"}},
    {"qweight of no rows", kGptq, [](Broken &b) { b.reshape(kQ + ".qweight", {0, 64}); }, {kQ + ".qweight", "[0, 64]"}},
    {"qzeros of another shape",
     kGptq,
     [](Broken &b) { b.reshape(kQ + ".qzeros", {2, 7}); },
     {kQ + ".qzeros", "is I32 [2, 7]", "I32 [2, 8]"}},
    {"scales of another shape",
     kGptq,
     [](Broken &b) { b.reshape(kQ + ".scales", {3, 64}); },
     {kQ + ".scales", "is F16 [3, 64]", "[2, 64]"}},
    {"scales of integers",
     kGptq,
     [](Broken &b) { b.retype(kQ + ".scales", DType::I16); },
     {kQ + ".scales", "is I16", "floats [2, 64]"}},
    {"g_idx of another length", kGptq, [](Broken &b) { b.reshape(kQ + ".g_idx", {63}); }, {kQ + ".g_idx", "[63]", "[64]"}},
    {"g_idx past the groups",
     kGptq,
     [](Broken &b) { b.at(kQ + ".g_idx").as<int32_t>()[5] = 2; },
     {kQ, "index 2 is outside a table of 2 entries", "restore"}},
    {"g_idx below 0",
     kGptq,
     [](Broken &b) { b.at(kQ + ".g_idx").as<int32_t>()[5] = -7; },
     {kQ, "index -7 is outside a table of 2 entries"}},
    {"g_idx out of order without desc_act",
     kSorted,
     [](Broken &b) { b.at(kQ + ".g_idx").as<int32_t>()[5] = 1; },
     {kQ + ".g_idx", "input feature 5 into group 1", "desc_act"}},
    {"groups that do not divide",
     kSorted,
     [](Broken &b) { b.set("\"group_size\": 32", "\"group_size\": 48"); },
     {kQ + ".qweight", "groups of 48 do not divide 64 input features", "group_size"}},
    {"scales with a NaN",
     kGptq,
     [](Broken &b) { b.at(kQ + ".scales").as<uint16_t>()[9] = 0x7E01; },
     {kQ, "NaN or an infinity", "restore the checkpoint"}},
    {"scales with an infinity",
     kGptq,
     [](Broken &b) { b.at(kQ + ".scales").as<uint16_t>()[9] = 0xFC00; },
     {kQ, "NaN or an infinity"}},

    {"awq of 8 bits",
     kAwq,
     [](Broken &b) { b.set("\"bits\": 4", "\"bits\": 8"); },
     {"config.json: quantization_config.bits", "8 is not 4"}},
    {"awq for gemv",
     kAwq,
     [](Broken &b) { b.set("\"gemm\"", "\"gemv\""); },
     {"config.json: quantization_config.version", "'gemv'", "gemm"}},
    {"awq without qzeros", kAwq, [](Broken &b) { b.drop(kQ + ".qzeros"); }, {kQ + ".qzeros", "is missing"}},
    {"awq groups that do not divide",
     kAwq,
     [](Broken &b) { b.set("\"group_size\": 32", "\"group_size\": 48"); },
     {kQ + ".qweight", "48", "64 input features"}},
    {"awq scales of another shape",
     kAwq,
     [](Broken &b) { b.reshape(kQ + ".scales", {2, 63}); },
     {kQ + ".scales", "[2, 63]", "[2, 64]"}},
    {"awq qzeros of another type",
     kAwq,
     [](Broken &b) { b.retype(kQ + ".qzeros", DType::I64); },
     {kQ + ".qzeros", "is I64", "I32 [2, 8]"}},

    {"no config_groups",
     kPacked,
     [](Broken &b) { b.set("\"config_groups\"", "\"groups\""); },
     {"config.json: quantization_config.config_groups", "missing"}},
    {"weights of 99 bits",
     kPacked,
     [](Broken &b) { b.set("\"num_bits\": 4", "\"num_bits\": 99"); },
     {"config.json: quantization_config.config_groups.group_0", "99 bits"}},
    {"packed without a scale",
     kPacked,
     [](Broken &b) { b.drop(kQ + ".weight_scale"); },
     {kQ + ".weight_scale", "is missing", "compressed-tensors"}},
    {"weight_shape with other rows",
     kPacked,
     [](Broken &b) { b.at(kQ + ".weight_shape").as<int64_t>()[0] = 63; },
     {kQ + ".weight_shape", "[64, K]"}},
    {"weight_shape with other columns",
     kPacked,
     [](Broken &b) { b.at(kQ + ".weight_shape").as<int64_t>()[1] = 96; },
     {kQ + ".weight_packed", "96 numbers of 4 bits"}},
    {"weight_shape that overflows",
     kPacked,
     [](Broken &b) { b.at(kQ + ".weight_shape").as<int64_t>()[1] = INT64_MAX; },
     {kQ + ".weight_shape", "I64 [2]"}},
    {"weight_shape below 1",
     kPacked,
     [](Broken &b) { b.at(kQ + ".weight_shape").as<int64_t>()[1] = -64; },
     {kQ + ".weight_shape"}},
    {"weight_shape of floats",
     kPacked,
     [](Broken &b) { b.retype(kQ + ".weight_shape", DType::F32); },
     {kQ + ".weight_shape", "is F32 [2]", "integers"}},
    {"groups of no size",
     kPacked,
     [](Broken &b) { b.reshape(kQ + ".weight_scale", {64, 3}); },
     {kQ + ".weight_scale", "BF16 [64, 3]", "[64, 64]"}},
    {"packed scales of integers",
     kPacked,
     [](Broken &b) { b.retype(kQ + ".weight_scale", DType::I32); },
     {kQ + ".weight_scale", "is I32"}},
    {"zeros that are not packed",
     kAsym,
     [](Broken &b) { b.at(kQ + ".weight_zero_point") = HostTensor(DType::I8, {64, 2}); },
     {kQ + ".weight_zero_point", "is I8 [64, 2]", "I32 [8, 2]"}},
    {"weight_g_idx of another length",
     kOrdered,
     [](Broken &b) { b.reshape(kQ + ".weight_g_idx", {65}); },
     {kQ + ".weight_g_idx", "[65]"}},
    {"weight_g_idx past the groups",
     kOrdered,
     [](Broken &b) { b.at(kQ + ".weight_g_idx").as<int32_t>()[0] = 9; },
     {kQ, "index 9 is outside a table of 2 entries"}},
    {"int8 without a scale",
     kInt8,
     [](Broken &b) { b.drop(kQ + ".weight_scale"); },
     {kQ + ".weight", "is I8 and no scale stands beside it", "complete the download"}},
    {"int8 scale of another length",
     kInt8,
     [](Broken &b) { b.reshape(kQ + ".weight_scale", {63, 1}); },
     {kQ + ".weight_scale", "BF16 [63, 1]"}},
    {"int8 without its weight", kInt8, [](Broken &b) { b.drop(kQ + ".weight"); }, {kQ + ".weight", "is missing"}},
    {"scales beside a dense weight",
     kInt8,
     [](Broken &b) { b.retype(kQ + ".weight", DType::BF16); },
     {kQ + ".weight", "is BF16 [64, 64]", "I8 or F8_E4M3"}},
    {"a dense weight beside a packed one",
     kPacked,
     [](Broken &b) { b.tensors[kQ + ".weight"] = HostTensor(DType::BF16, {64, 64}); },
     {kQ + ".weight", "is BF16 [64, 64]"}},
    {"parts of a module that the graph has not",
     kPacked,
     [](Broken &b) {
       for (const char *part : {"packed", "scale", "shape"})
         b.tensors["model.layers.0.other.weight_" + std::string(part)] = b.at(kQ + ".weight_" + part);
     },
     {"model.layers.0.other.weight_packed", "left over"}},
    {"global scale of many",
     kNvfp4,
     [](Broken &b) { b.reshape(kQ + ".weight_global_scale", {3}); },
     {kQ + ".weight_global_scale", "F32 [3]", "one float"}},
    {"global scale of 0",
     kNvfp4,
     [](Broken &b) { b.at(kQ + ".weight_global_scale").as<float>()[0] = 0; },
     {kQ, "NaN or an infinity"}},

    {"fp8 block sizes that are none",
     kFp8,
     [](Broken &b) {
       const size_t at = b.config.find("weight_block_size");
       b.config = b.config.substr(0, at) + "weight_block_size\": [128, 0]}}";
     },
     {"config.json: quantization_config.weight_block_size", "[128,0]", "two sizes"}},
    {"fp8 without scales",
     kFp8,
     [](Broken &b) { b.drop(kQ + ".weight_scale_inv"); },
     {kQ + ".weight", "is F8_E4M3 and no scale stands beside it"}},
    {"fp8 scales of another shape",
     kFp8,
     [](Broken &b) { b.reshape(kQ + ".weight_scale_inv", {1, 2}); },
     {kQ + ".weight_scale_inv", "F32 [1, 2]", "one scale for each block"}},
    {"fp8 scales of integers",
     kFp8,
     [](Broken &b) { b.retype(kQ + ".weight_scale_inv", DType::I32); },
     {kQ + ".weight_scale_inv", "is I32"}},
    {"fp8 scale that is a NaN",
     kFp8,
     [](Broken &b) { b.at(kQ + ".weight_scale_inv").as<uint32_t>()[0] = 0x7FC00000; },
     {kQ, "NaN or an infinity"}},
    {"fp8 scales of two kinds",
     kTensorFp8,
     [](Broken &b) { b.tensors[kQ + ".weight_scale_inv"] = b.at(kQ + ".weight_scale"); },
     {kQ + ".weight", "is stored in two ways"}},
    {"fp8 scales for two tensors",
     kTensorFp8,
     [](Broken &b) { b.reshape(kQ + ".weight_scale", {2}); },
     {kQ + ".weight_scale", "F32 [2]"}},

    {"quant_state that is no JSON",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", "\x80pickle"); },
     {kQ + ".weight.quant_state.bitsandbytes__nf4:1:1"}},
    {"quant_state that is a list",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", "[]"); },
     {kQ + ".weight.quant_state.bitsandbytes__nf4", "says no shape and block size: []"}},
    {"quant_state of integers",
     kNf4,
     [](Broken &b) { b.retype(kQ + ".weight.quant_state.bitsandbytes__nf4", DType::I32); },
     {kQ + ".weight.quant_state.bitsandbytes__nf4", "is I32", "the bytes of a text"}},
    {"quant_state of a million",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", std::string((1 << 20) + 1, ' ')); },
     {kQ + ".weight.quant_state.bitsandbytes__nf4", "1048577 bytes"}},
    {"quant_state of another shape",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", R"({"blocksize": 64, "shape": [64, 65]})"); },
     {kQ + ".weight", "is U8 [2048, 1]", "2080 bytes"}},
    {"quant_state whose shape overflows",
     kNf4,
     [](Broken &b) {
       b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", R"({"blocksize": 64, "shape": [4611686018427387904, 4, 4]})");
     },
     {kQ + ".weight.quant_state", "says no shape"}},
    {"quant_state with the largest shape",
     kNf4,
     [](Broken &b) {
       b.text(kQ + ".weight.quant_state.bitsandbytes__nf4",
              R"({"blocksize": 9223372036854775807, "shape": [9223372036854775807]})");
     },
     {kQ + ".weight", "4611686018427387904 bytes"}},
    {"quant_state with a shape below 0",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", R"({"blocksize": 64, "shape": [-64, -64]})"); },
     {kQ + ".weight.quant_state", "[-64"}},
    {"quant_state with the same count in another shape",
     kNf4,
     [](Broken &b) { b.text(kQ + ".weight.quant_state.bitsandbytes__nf4", R"({"blocksize": 64, "shape": [32, 128]})"); },
     {kQ + ".weight", "[32, 128]", "[64, 64]"}},
    {"absmax of another length",
     kNf4,
     [](Broken &b) { b.reshape(kQ + ".weight.absmax", {63}); },
     {kQ + ".weight.absmax", "F32 [63]", "[64]"}},
    {"no absmax", kNf4, [](Broken &b) { b.drop(kQ + ".weight.absmax"); }, {kQ + ".weight.absmax", "is missing"}},
    {"no quant_map", kNf4, [](Broken &b) { b.drop(kQ + ".weight.quant_map"); }, {kQ + ".weight.quant_map", "is missing"}},
    {"no quant_state", kNf4, [](Broken &b) { b.drop(kQ + ".weight.quant_state.bitsandbytes__nf4"); }, {kQ + ".weight"}},
    {"quant_map of 15",
     kNf4,
     [](Broken &b) { b.reshape(kQ + ".weight.quant_map", {15}); },
     {kQ + ".weight.quant_map", "F32 [15]", "[16]"}},
    {"nested without its map",
     kNested,
     [](Broken &b) { b.drop(kMlp + ".weight.nested_quant_map"); },
     {kMlp + ".weight.nested_quant_map", "is missing"}},
    {"nested without offset",
     kNested,
     [](Broken &b) {
       const std::string name = kMlp + ".weight.quant_state.bitsandbytes__nf4";
       std::string text = b.textOf(name);
       b.text(name, text.replace(text.find("nested_offset"), 13, "no_offset"));
     },
     {kMlp + ".weight.quant_state", "nested_offset"}},
    {"nested absmax of another length",
     kNested,
     [](Broken &b) { b.reshape(kMlp + ".weight.nested_absmax", {7}); },
     {kMlp + ".weight.nested_absmax", "F32 [7]", "[1]"}},
    {"SCB of another length", kBnb8, [](Broken &b) { b.reshape(kQ + ".SCB", {63}); }, {kQ + ".SCB", "F32 [63]", "[64]"}},
    {"SCB beside floats",
     kBnb8,
     [](Broken &b) { b.retype(kQ + ".weight", DType::F16); },
     {kQ + ".weight", "is F16", "I8 [N, K]"}},
    {"no SCB", kBnb8, [](Broken &b) { b.drop(kQ + ".SCB"); }, {kQ + ".weight", "is I8 and no scale stands beside it"}},
    {"rows in the order of tiles",
     kBnb8,
     [](Broken &b) {
       b.tensors[kQ + ".weight_format"] = HostTensor(DType::U8, {});
       b.at(kQ + ".weight_format").bytes[0] = std::byte(2);
     },
     {kQ + ".weight_format", "order of a GPU's tiles", "bitsandbytes 0.45"}},

    {"modelopt's other algorithms",
     kModelOpt,
     [](Broken &b) {
       std::string text = readFile(b.folder / "hf_quant_config.json");
       writeFile(b.folder / "hf_quant_config.json", text.replace(text.find("NVFP4"), 5, "W4A8_AWQ"));
     },
     {"quant_algo", "'W4A8_AWQ'", "known are: FP8, NVFP4"}},
    {"hf_quant_config.json that says nothing",
     kModelOpt,
     [](Broken &b) { writeFile(b.folder / "hf_quant_config.json", "{}"); },
     {"hf_quant_config.json: quantization", "is missing"}},
    {"hf_quant_config.json that is no JSON",
     kModelOpt,
     [](Broken &b) { writeFile(b.folder / "hf_quant_config.json", "{"); },
     {"hf_quant_config.json:1:2"}},
    {"nvfp4 without its second scale",
     kModelOpt,
     [](Broken &b) { b.drop(kQ + ".weight_scale_2"); },
     {kQ + ".weight_scale_2", "is missing"}},
    {"nvfp4 with many second scales",
     kModelOpt,
     [](Broken &b) { b.reshape(kQ + ".weight_scale_2", {5}); },
     {kQ + ".weight_scale_2", "F32 [5]", "one float"}},
    {"nvfp4 scales of other rows",
     kModelOpt,
     [](Broken &b) { b.reshape(kQ + ".weight_scale", {63, 4}); },
     {kQ + ".weight_scale", "F8_E4M3 [63, 4]"}},
    {"nvfp4 scales in bytes",
     kModelOpt,
     [](Broken &b) { b.retype(kQ + ".weight_scale", DType::U8); },
     {kQ + ".weight_scale", "is U8"}},
    {"activations scaled before",
     kModelOpt,
     [](Broken &b) { b.tensors[kQ + ".pre_quant_scale"] = HostTensor(DType::BF16, {64}); },
     {kQ + ".pre_quant_scale", "scales activations"}},
    {"modelopt fp8 without a scale",
     kModelOptFp8,
     [](Broken &b) { b.drop(kQ + ".weight_scale"); },
     {kQ + ".weight", "is F8_E4M3 and no scale"}},
};
} // namespace

TEST_CASE("a quantised checkpoint that is damaged is said so, with place, value and remedy") {
  for (const Row &row : kRows) {
    INFO(row.what);
    Broken broken(row.fixture);
    row.damage(broken);
    const std::string said = broken.problems();
    INFO(said);
    CHECK(said.starts_with("[2]")); // exit code 2
    CHECK(!broken.diags.errors().empty());
    for (const std::string &word : row.words)
      CHECK(said.find(word) != std::string::npos);
    for (const Problem &problem : broken.diags.errors())
      CHECK(!problem.remedy.empty());
  }
}

TEST_CASE("what is odd and still right") {
  // A scale of 0: a group of zeros.
  Broken zero(kGptq);
  zero.at(kQ + ".scales").as<uint16_t>()[9] = 0;
  CHECK(zero.problems() == "");
  // A module that `ignore` names and that is quantised all the same: the tensors say what they are.
  Broken ignored(kPacked);
  ignored.set("\"lm_head\"", "\"re:.*q_proj\"");
  CHECK(ignored.problems() == "");
  // Blocks far larger than any weight.
  Broken large(kTensorFp8);
  large.set("\"activation_scheme\": \"static\"", "\"weight_block_size\": [9223372036854775807, 9223372036854775807]");
  for (auto &[name, tensor] : large.tensors)
    if (llvm::StringRef(name).ends_with("weight_scale"))
      tensor.shape = {1, 1};
  CHECK(large.problems() == "");
}

// gpt-oss stores its experts so: https://huggingface.co/openai/gpt-oss-20b, OCP Microscaling Formats 1.0.
TEST_CASE("mxfp4: pairs of E2M1 and a power of two for each 32") {
  const float e2m1[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6}; // ml_dtypes.float4_e2m1fn
  TempFolder folder;
  Diagnostics diags;
  HostTensor blocks(DType::U8, {2, 5, 3, 16}), scales(DType::U8, {2, 5, 3});
  for (int64_t i = 0; i < blocks.elements(); ++i)
    blocks.as<uint8_t>()[i] = static_cast<uint8_t>(i * 151 + i / 16 * 7);
  for (int64_t i = 0; i < scales.elements(); ++i)
    scales.as<uint8_t>()[i] = static_cast<uint8_t>(i == 0 ? 0 : i == 1 ? 254 - 4 : 100 + i);
  const std::string name = "model.layers.0.mlp.experts.gate_up_proj";
  auto declare = [&](const NamedTensors &tensors, mlir::MLIRContext &context, mlir::OwningOpRef<mlir::ModuleOp> &module,
                     std::unique_ptr<Checkpoint> &checkpoint) {
    REQUIRE(succeeded(writeSafetensors(folder / "model.safetensors", tensors, {}, diags)));
    checkpoint = std::make_unique<Checkpoint>(*openCheckpoint(folder.path, diags));
    context.loadDialect<fr::FrDialect>();
    std::string text = "fr.weights @source {\n";
    for (const CheckpointTensor &tensor : checkpoint->tensors) {
      text += "fr.weight @" + tensor.name + " : tensor<";
      for (int64_t d : tensor.shape)
        text += std::to_string(d) + "x";
      text += "ui8>\n";
    }
    module = mlir::parseSourceString<mlir::ModuleOp>(text + "}", &context);
    REQUIRE(module);
    json::Value config = *json::parse(R"({"quantization_config": {"quant_method": "mxfp4"}})", "config.json", diags);
    return declareQuantised(*module, *checkpoint, config.object(), diags);
  };
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<Checkpoint> checkpoint;
  FailureOr<DerivedTensors> derived =
      declare({{name + "_blocks", blocks}, {name + "_scales", scales}}, context, module, checkpoint);
  INFO(textOf(diags));
  REQUIRE(succeeded(derived));
  REQUIRE(derived->tensors.size() == 1);
  CHECK(derived->tensors[0].name == name);
  CHECK(derived->tensors[0].shape == std::vector<int64_t>{2, 5, 96});
  ParamEvaluator evaluator(*checkpoint, *openSources(*checkpoint, diags));
  auto param = module->lookupSymbol<fr::ParamOp>(derived->tensors[0].param);
  REQUIRE(param);
  CHECK(succeeded(mlir::verify(param)));
  std::vector<float> got(2 * 5 * 96);
  REQUIRE(succeeded(evaluator.readRows(param, 0, 2, got.data(), diags)));
  for (int64_t i = 0; i < static_cast<int64_t>(got.size()); ++i) {
    const int byte = blocks.as<uint8_t>()[i / 2], code = i % 2 ? byte >> 4 : byte & 15;
    CHECK(got[i] == std::ldexp(e2m1[code], scales.as<uint8_t>()[i / 32] - 127));
  }
  // E8M0's NaN, a scale too few, and blocks of another size.
  scales.as<uint8_t>()[7] = 255;
  REQUIRE(succeeded(derived = declare({{name + "_blocks", blocks}, {name + "_scales", scales}}, context, module, checkpoint)));
  ParamEvaluator again(*checkpoint, *openSources(*checkpoint, diags));
  CHECK(failed(again.readRows(module->lookupSymbol<fr::ParamOp>(derived->tensors[0].param), 0, 2, got.data(), diags)));
  CHECK(textOf(diags).find(name + ".dequantized: holds a NaN") != std::string::npos);
  CHECK(failed(declare({{name + "_blocks", blocks}}, context, module, checkpoint)));
  CHECK(textOf(diags).find(name + "_scales: is missing") != std::string::npos);
  CHECK(failed(
      declare({{name + "_blocks", blocks}, {name + "_scales", HostTensor(DType::U8, {2, 5, 2})}}, context, module, checkpoint)));
  CHECK(textOf(diags).find(name + "_scales: is U8 [2, 5, 2]") != std::string::npos);
  CHECK(failed(declare({{name + "_blocks", HostTensor(DType::U8, {2, 5, 3, 8})}, {name + "_scales", scales}}, context, module,
                       checkpoint)));
  CHECK(textOf(diags).find(name + "_blocks: is U8 [2, 5, 3, 8]") != std::string::npos);
}
