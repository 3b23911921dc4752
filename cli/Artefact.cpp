#include "cli/Artefact.h"

#include "exporters/gguf/ExportGguf.h"
#include "exporters/hf/ExportHf.h"
#include "weights/Digest.h"
#include "weights/OutputPlace.h"
#include "weights/Placer.h"
#include "weights/StreamWriter.h"

#include "llvm/Support/raw_ostream.h"

#include <filesystem>
#include <fstream>
#include <mutex>

using namespace flagrelease;
using namespace mlir;
namespace fs = std::filesystem;

std::string flagrelease::digestOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  return sha256(StringRef(stream.str()));
}

/// The dtype that an engine is told to compute in: what the weights have, as config.json says it, or "auto".
static std::string dtypeWord(const Model &model, const MigrationPlan &plan) {
  if (plan.scheme->dtype)
    return torchName(*plan.scheme->dtype).str();
  for (const char *key : {"dtype", "torch_dtype"})
    if (const json::Value *value = model.imported.config.find(key); value && value->isString()) {
      StringRef name = value->string();
      name.consume_front("torch.");
      if (name == "float32" || name == "float16" || name == "bfloat16")
        return name.str();
    }
  return "auto";
}

FailureOr<Artefact> flagrelease::layOut(const Model &model, const MigrationPlan &plan, OwningOpRef<ModuleOp> module,
                                        Diagnostics &diags) {
  Artefact artefact;
  artefact.moduleDigest = digestOf(*module);
  FailureOr<SideFiles> beside = readSideFiles(*model.checkpoint, fs::is_directory(model.source.folder), diags);
  if (failed(beside))
    return failure();
  artefact.beside = std::move(*beside);
  ExportRequest request;
  request.module = *module;
  request.checkpoint = model.checkpoint.get();
  request.beside = &artefact.beside;
  request.shardSize = plan.shardSize;
  request.reshard = plan.reshard;
  request.floats = plan.scheme->dtype;
  request.scheme = plan.scheme;
  request.dequantised = plan.pipeline.replaceQuantized.has_value();
  GgufTarget gguf;
  FailureOr<TokenizerTable> tokenizers(TokenizerTable{});
  if (plan.exporter->ggufSection) {
    FailureOr<std::string> home = homeFolder(diags);
    tokenizers = failed(home) ? FailureOr<TokenizerTable>(failure()) : loadPreTokenizers(*home + "/recipes", diags);
    if (failed(tokenizers))
      return failure();
    gguf.recipe = model.imported.family.get();
    gguf.config = &model.imported.config;
    gguf.tokenizers = &*tokenizers;
    gguf.folder = model.checkpoint->folder;
    gguf.name = model.source.name;
    gguf.origin = {
        {"tool", kTool}, {"source", model.source.name}, {"scheme", plan.scheme->name}, {"module", artefact.moduleDigest}};
    gguf.fileType = plan.scheme->weights ? plan.scheme->weights->fileType : std::nullopt;
    request.gguf = &gguf;
    if (!plan.reshard)
      request.shardSize = 0; // one file, as its users expect
  }
  FailureOr<ExportPlan> files = plan.exporter->run(request, diags);
  if (failed(files))
    return failure();
  artefact.serve = serveFiles({*plan.chip, *plan.toolchain, model.source.name, model.imported.task, plan.scheme->name,
                               plan.exporter->entry.str(), dtypeWord(model, plan), plan.context});
  artefact.files = std::move(*files);
  assert(llvm::none_of(artefact.files.files,
                       [&](const ExportedFile &file) {
                         return file.kind == ExportedFile::Kind::Placed &&
                                model.checkpoint->files[file.source].format != FileFormat::Safetensors;
                       }) &&
         "pickles are left out of artefacts");
  artefact.module = std::move(module);
  return artefact;
}

namespace {
const char *const kModelFolder = "model/";

std::string expressionOf(fr::ParamOp param) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (Operation &op : param.getBody().front())
    if (!isa<fr::YieldOp, fr::GetOp>(op)) {
      if (!text.empty())
        stream << "; ";
      stream << op.getName().getStringRef() << " -> " << op.getResult(0).getType();
      stream.flush();
    }
  return text.empty() ? "identity" : text;
}

void addTensors(const ExportedFile &file, const DoneFile &done, ModuleOp module, Manifest &manifest) {
  for (auto [i, tensor] : llvm::enumerate(file.tensors)) {
    ManifestTensor entry;
    entry.name = tensor.param;
    entry.file = kModelFolder + file.path;
    entry.type = tensor.type;
    entry.shape = tensor.shape;
    entry.offset = tensor.offset;
    entry.bytes = tensor.bytes;
    entry.sha256 = i < done.parts.size() ? done.parts[i] : "";
    if (auto param = module.lookupSymbol<fr::ParamOp>(tensor.param)) {
      param.walk([&](fr::GetOp get) { entry.sources.push_back(get.getWeight().getLeafReference().str()); });
      entry.expression = expressionOf(param);
    } else {
      entry.sources = {tensor.weight};
      entry.expression = "identity";
    }
    manifest.tensors.push_back(std::move(entry));
  }
}
} // namespace

LogicalResult flagrelease::writeArtefact(const Options &options, const Model &model, const MigrationPlan &plan,
                                         Artefact &artefact, OutputFolder &out, const WorkOptions &work, Diagnostics &diags) {
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(*model.checkpoint, diags);
  if (failed(sources))
    return failure();

  // Unchanged files first.
  std::vector<PlaceRequest> requests;
  std::vector<const ExportedFile *> placed;
  uint64_t planned = 0;
  for (const ExportedFile &file : artefact.files.files) {
    if (file.kind != ExportedFile::Kind::Placed) {
      planned += file.bytes;
      continue;
    }
    PlaceRequest request;
    request.source = (*sources)[file.source];
    request.range = PlaceRequest::whole(*request.source);
    request.to = kModelFolder + file.path;
    request.link = options.link;
    for (const ExportedTensor &tensor : file.tensors)
      request.parts.push_back({tensor.offset, tensor.bytes});
    requests.push_back(std::move(request));
    placed.push_back(&file);
  }
  if (options.link && !plan.toolchain->linksAllowed && !requests.empty())
    return diags.error("--link", plan.toolchain->engine + " refuses weight files that have a second name",
                       "leave --link out: the files are copied");
  if (failed(checkDiskSpace(out.path(), planned + bytesToPlace(out, requests), diags)))
    return failure();
  if (work.progress) {
    uint64_t total = planned;
    for (const PlaceRequest &request : requests)
      total += request.range.bytes;
    work.progress->bytesTotal = total;
  }
  FailureOr<std::vector<DoneFile>> done = placeFiles(out, requests, work, diags);
  if (failed(done))
    return failure();
  for (auto [file, finished] : llvm::zip(placed, *done)) {
    artefact.manifest.add(finished);
    addTensors(*file, finished, *artefact.module, artefact.manifest);
  }

  ParamEvaluator evaluator(*model.checkpoint, *sources);
  std::mutex lossLock;
  std::map<std::string, RangeLoss> losses;
  for (const ExportedFile &file : artefact.files.files) {
    if (file.kind == ExportedFile::Kind::Written) {
      std::string path = kModelFolder + file.path;
      if (failed(out.writeText(path, file.content, diags)))
        return failure();
      artefact.manifest.add(*out.done(path));
      continue;
    }
    if (file.kind != ExportedFile::Kind::Derived)
      continue;
    PlannedFile stream;
    stream.path = kModelFolder + file.path;
    stream.head = file.head;
    stream.bytes = file.bytes;
    for (const ExportedTensor &tensor : file.tensors) {
      auto param = artefact.module->lookupSymbol<fr::ParamOp>(tensor.param);
      assert(param && "the exporter names params of its module");
      PlannedTensor entry;
      entry.name = tensor.param;
      entry.type = tensor.type;
      entry.shape = tensor.shape;
      entry.fileOffset = tensor.offset;
      entry.bytes = tensor.bytes;
      const bool refuse = plan.scheme->overflow == OnLoss::Refuse && !options.allowRangeLoss;
      entry.grain = ParamEvaluator::grainOf(param);
      entry.hint = [&evaluator, param](int64_t first, uint64_t bytes) { evaluator.willNeed(param, first, bytes); };
      entry.producer = [&evaluator, &lossLock, &losses, &options, refuse, param,
                        name = tensor.param](int64_t first, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &d) {
        RangeLoss loss;
        if (failed(evaluator.readBytes(param, first, bytes, &loss, d)))
          return failure();
        // At once: a tensor that was recorded as complete would be taken for good by the next run.
        if (loss.overflows && refuse)
          return d.error(name, "holds a number outside the range of " + options.scheme + ": " + std::to_string(loss.firstValue),
                         "use --scheme bf16 or fp32, or pass --allow-range-loss", Cause::Answer);
        if (loss.underflows) {
          std::lock_guard lock(lossLock);
          losses[name].merge(loss, 0);
        }
        return success();
      };
      stream.tensors.push_back(std::move(entry));
    }
    FailureOr<DoneFile> finished = writeStream(out, stream, work, diags);
    if (failed(finished))
      return failure();
    artefact.manifest.add(*finished);
    addTensors(file, *finished, *artefact.module, artefact.manifest);
  }

  for (const auto &[name, loss] : losses)
    diags.note(name, Twine(loss.underflows) + " small numbers became zero");

  // What consumers expect beside the weights, and how to start it.
  auto write = [&](const std::string &path, StringRef content) -> LogicalResult {
    if (llvm::any_of(artefact.manifest.files, [&](const ManifestFile &file) { return file.path == path; }))
      return success(); // the exporter has written its own
    if (failed(out.writeText(path, content, diags)))
      return failure();
    artefact.manifest.add(*out.done(path));
    return success();
  };
  for (const SideFile &file : artefact.beside.files)
    if ((file.licence || plan.exporter->carriesConsumerFiles) && failed(write(kModelFolder + file.name, file.content)))
      return failure();
  for (const ServeFile &file : artefact.serve)
    if (failed(write(file.path, file.content)))
      return failure();
  if (failed(out.writeText("model/pipeline.json", pipelineJson(model, plan, artefact), diags)))
    return failure();
  artefact.manifest.add(*out.done("model/pipeline.json"));

  ManifestBuild &build = artefact.manifest.build;
  build.tool = kTool;
  build.sourceName = model.source.name;
  for (const LeftOut &file : artefact.beside.leftOut)
    build.leftOut.emplace_back(file.name, file.reason);
  for (const CheckpointFile &file : model.checkpoint->files)
    build.sourceFiles[file.name] = {file.bytes, file.headerDigest};
  for (const RecipeText &recipe : model.imported.recipeFiles)
    build.recipes["models/" + recipeStem(recipe.path)] = sha256(StringRef(recipe.bytes));
  build.recipes["chips/" + plan.chip->name] = sha256(StringRef(plan.chip->file.bytes));
  build.recipes["schemes/" + plan.scheme->name] = sha256(StringRef(plan.scheme->file.bytes));
  if (plan.table)
    for (const RecipeFile &file : plan.table->files)
      build.recipes["ops/" + file.stem] = sha256(StringRef(file.bytes));
  build.options = {
      {"chip", plan.chip->name}, {"format", plan.format}, {"scheme", plan.scheme->name}, {"task", model.imported.task}};
  if (!plan.exporter->checkpoint)
    build.options["kv-cache"] = plan.cacheText;
  if (plan.toolchain->staticShapes || plan.exporter->checkpoint)
    build.options["context"] = std::to_string(plan.context); // of a checkpoint format: what serve/ starts it with
  if (plan.toolchain->staticShapes)
    build.options["batch"] = std::to_string(plan.batch);
  // Where they were needed: the same bytes have the same manifest.
  if (!plan.fallbacks.empty())
    build.options["allow-type-fallback"] = "yes";
  if (plan.requantised)
    build.options["allow-requantize"] = "yes";
  if (plan.reshard)
    build.options["shard-size"] = std::to_string(plan.shardSize);
  for (const std::string &key : options.assumeInert)
    build.options["assume-inert " + key] = "yes";
  for (const std::string &option : options.taskOptions)
    build.options["task-option " + StringRef(option).split('=').first.str()] = StringRef(option).split('=').second.str();
  build.module = artefact.moduleDigest;
  return success();
}

FailureOr<std::string> flagrelease::writeTapModel(const Model &model, const MigrationPlan &plan, const OutputFolder &out,
                                                  const Options &options, Diagnostics &diags) {
  FailureOr<OwningOpRef<ModuleOp>> module = lower(model, plan, /*taps=*/true, "", nullptr, options, diags);
  if (failed(module))
    return failure();
  FailureOr<Artefact> taps = layOut(model, plan, std::move(*module), diags);
  if (failed(taps))
    return failure();
  std::string folder = out.pathOf(".flagrelease/work/taps");
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  for (const ExportedFile &file : taps->files.files) {
    fs::path to = fs::path(folder) / file.path;
    fs::create_directories(to.parent_path(), error);
    if (file.kind == ExportedFile::Kind::Written) {
      std::ofstream(to, std::ios::binary) << file.content;
      continue;
    }
    fs::create_hard_link(out.pathOf(kModelFolder + file.path), to, error);
    if (error)
      fs::copy_file(out.pathOf(kModelFolder + file.path), to, error);
    if (error) {
      diags.note("taps", "the model with taps could not be placed (" + error.message() + "): a divergence will not be located");
      return std::string();
    }
  }
  return folder;
}
