#include "tests/exporters/GgufCases.h"

#include "importers/huggingface/GraphBuilder.h"
#include "passes/GgufParams.h"
#include "weights/Gguf.h"
#include "weights/params/ParamEvaluator.h"

#include <filesystem>
#include <fstream>

using namespace flagrelease;
using namespace flagrelease::test;

static const char *const kRecipes = FLAGRELEASE_SOURCE_DIR "/recipes";

std::string test::problems(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + " | " + problem.remedy + "\n";
  return text;
}

/// The files of a plan, tensors from the evaluator.
static LogicalResult writePlan(const ExportPlan &plan, mlir::ModuleOp module, const Checkpoint &checkpoint,
                               const std::string &out, Diagnostics &diags) {
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(checkpoint, diags);
  if (failed(sources))
    return failure();
  ParamEvaluator evaluator(checkpoint, *sources);
  std::filesystem::create_directories(out);
  for (const ExportedFile &file : plan.files) {
    std::ofstream stream(out + "/" + file.path, std::ios::binary);
    stream << file.head;
    std::vector<std::byte> bytes;
    for (const ExportedTensor &tensor : file.tensors) {
      stream << std::string(tensor.offset - static_cast<uint64_t>(stream.tellp()), '\0');
      bytes.resize(tensor.bytes);
      if (failed(evaluator.readBytes(module.lookupSymbol<fr::ParamOp>(tensor.param), 0, bytes, nullptr, diags)))
        return failure();
      stream.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    stream << std::string(file.bytes - static_cast<uint64_t>(stream.tellp()), '\0');
  }
  return success();
}

/// What a scheme of one block format says: every matrix that stays one and whose rows are whole blocks.
static LogicalResult blocksOf(mlir::ModuleOp module, BlockFormat format, GgufParamRequest &request, Diagnostics &diags) {
  FailureOr<std::vector<GgufTensorPlan>> plans = request.model->tensors(diags);
  if (failed(plans))
    return failure();
  for (const GgufTensorPlan &plan : *plans) {
    auto name = request.params.find(plan.logical);
    if (name == request.params.end() || plan.rule->f32)
      continue;
    auto type = mlir::cast<mlir::RankedTensorType>(module.lookupSymbol<fr::ParamOp>(name->second).getType());
    if (type.getRank() == 2 && type.getDimSize(1) % blockInfo(format).elements == 0)
      request.blocks[plan.name] = format;
  }
  return success();
}

LogicalResult test::writeGguf(const std::string &source, const std::string &out, const WriteGgufOptions &options,
                              Diagnostics &diags) {
  FailureOr<RecipeSet> recipes = RecipeSet::load(kRecipes, "", importerGrammar(), diags);
  FailureOr<TokenizerTable> tokenizers = loadPreTokenizers(kRecipes, diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(source, diags);
  if (failed(recipes) || failed(tokenizers) || failed(checkpoint))
    return failure();
  mlir::MLIRContext context;
  FailureOr<Imported> imported = importHuggingFace(*checkpoint, *recipes, {}, context, diags);
  if (failed(imported))
    return failure();
  FamilyScope family(*imported->family, imported->config);
  GgufModel model(*imported->family->gguf, family.scope());
  GgufParamRequest params;
  params.model = &model;
  params.params = imported->ggufParams;
  params.floats = options.floats;
  if (failed(model.check(imported->task, diags)) ||
      (options.blocks && failed(blocksOf(*imported->module, *options.blocks, params, diags))) ||
      failed(addGgufParams(*imported->module, params, diags)))
    return failure();
  GgufTarget target;
  target.recipe = imported->family.get();
  target.config = &imported->config;
  target.tokenizers = &*tokenizers;
  target.folder = checkpoint->folder;
  target.name = std::filesystem::path(source).filename().string();
  target.origin = {{"tool", "test"}};
  target.alignment = options.alignment;
  ExportRequest request;
  request.module = *imported->module;
  request.checkpoint = &*checkpoint;
  request.shardSize = options.shardSize;
  request.gguf = &target;
  FailureOr<ExportPlan> plan = exportGguf(request, diags);
  if (failed(plan))
    return failure();
  return writePlan(*plan, *imported->module, *checkpoint, out, diags);
}

LogicalResult test::writeGgufVocabulary(const std::string &folder, int64_t rows, const std::string &file, Diagnostics &diags) {
  FailureOr<TokenizerTable> tokenizers = loadPreTokenizers(kRecipes, diags);
  if (failed(tokenizers))
    return failure();
  GgufKeyValues keys;
  keys.add("general.architecture", GgufValue::text("llama"));
  for (const char *key : {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"})
    keys.add(std::string("llama.") + key, GgufValue::u32(8));
  keys.add("llama.attention.layer_norm_rms_epsilon", GgufValue::f32(1e-5f));
  if (failed(addTokenizer({folder, rows, nullptr, &*tokenizers}, keys, diags)))
    return failure();
  std::vector<GgufTensor> none;
  uint64_t end = 0;
  std::string head = layOutGguf(keys, none, kGgufAlignment, end);
  std::ofstream(file, std::ios::binary) << head;
  return success();
}
