#include "cli/Artefact.h"

#include "weights/Digest.h"
#include "weights/OutputPlace.h"
#include "weights/Placer.h"
#include "weights/StreamWriter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
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

FailureOr<Artefact> flagrelease::layOut(const Model &model, const MigrationPlan &plan, OwningOpRef<ModuleOp> module,
                                        Diagnostics &diags) {
  Artefact artefact;
  artefact.moduleDigest = digestOf(*module);
  ExportRequest request;
  request.module = *module;
  request.checkpoint = model.checkpoint.get();
  FailureOr<ExportPlan> files = findExporter(plan.format)->run(request, diags);
  if (failed(files))
    return failure();
  artefact.files = std::move(*files);
  artefact.module = std::move(module);
  return artefact;
}

namespace {
const char *const kModelFolder = "model/";

/// Small files of the source that consumers need beside the weights. No code, no links, nothing executable.
const char *const kCarried[] = {"config.json",
                                "generation_config.json",
                                "tokenizer.json",
                                "tokenizer_config.json",
                                "special_tokens_map.json",
                                "added_tokens.json",
                                "vocab.json",
                                "vocab.txt",
                                "merges.txt",
                                "tokenizer.model",
                                "chat_template.jinja",
                                "chat_template.json",
                                "preprocessor_config.json",
                                "processor_config.json",
                                "modules.json",
                                "config_sentence_transformers.json",
                                "sentence_bert_config.json",
                                "1_Pooling/config.json",
                                "LICENSE",
                                "LICENSE.txt",
                                "LICENSE.md",
                                "NOTICE",
                                "USE_POLICY.md"};

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
      entry.grain = ParamEvaluator::grainOf(param);
      entry.producer = [&evaluator, &lossLock, &losses, param,
                        name = tensor.param](int64_t first, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &d) {
        RangeLoss loss;
        if (failed(evaluator.readBytes(param, first, bytes, &loss, d)))
          return failure();
        if (loss.overflows || loss.underflows) {
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
    for (const auto &[name, loss] : losses)
      if (loss.overflows && plan.scheme->overflow == OnLoss::Refuse && !options.allowRangeLoss)
        (void)diags.error(name,
                          Twine(loss.overflows) + " numbers are outside the range of " + options.scheme + ", the first is " +
                              std::to_string(loss.firstValue),
                          "use --scheme bf16 or fp32, or pass --allow-range-loss", Cause::Answer);
      else if (loss.underflows)
        diags.note(name, Twine(loss.underflows) + " small numbers became zero");
    if (diags.hasErrors())
      return failure();
    artefact.manifest.add(*finished);
    addTensors(file, *finished, *artefact.module, artefact.manifest);
  }

  // What consumers expect beside the weights.
  if (fs::is_directory(model.source.folder))
    for (const char *name : kCarried) {
      fs::path from = fs::path(model.source.folder) / name;
      std::error_code ignored;
      std::string path = kModelFolder + std::string(name);
      bool taken = llvm::any_of(artefact.manifest.files, [&](const ManifestFile &file) { return file.path == path; });
      if (taken || !fs::is_regular_file(from, ignored) || fs::file_size(from, ignored) > (64u << 20))
        continue;
      std::ifstream in(from, std::ios::binary);
      std::string content((std::istreambuf_iterator<char>(in)), {});
      if (failed(out.writeText(path, content, diags)))
        return failure();
      artefact.manifest.add(*out.done(path));
    }
  if (failed(out.writeText("model/pipeline.json", pipelineJson(model, plan, artefact), diags)))
    return failure();
  artefact.manifest.add(*out.done("model/pipeline.json"));

  ManifestBuild &build = artefact.manifest.build;
  build.tool = kTool;
  build.sourceName = model.source.name;
  for (const CheckpointFile &file : model.checkpoint->files)
    build.sourceFiles[file.name] = {file.bytes, file.headerDigest};
  for (const RecipeText &recipe : model.imported.recipeFiles)
    build.recipes["models/" + recipeStem(recipe.path)] = sha256(StringRef(recipe.bytes));
  build.recipes["chips/" + plan.chip->name] = sha256(StringRef(plan.chip->file.bytes));
  build.recipes["schemes/" + plan.scheme->name] = sha256(StringRef(plan.scheme->file.bytes));
  if (plan.table)
    for (const RecipeFile &file : plan.table->files)
      build.recipes["ops/" + file.stem] = sha256(StringRef(file.bytes));
  build.options = {{"chip", plan.chip->name},
                   {"format", plan.format},
                   {"scheme", plan.scheme->name},
                   {"task", model.imported.task},
                   {"kv-cache", plan.cacheText}};
  if (plan.toolchain->staticShapes) {
    build.options["context"] = std::to_string(plan.context);
    build.options["batch"] = std::to_string(plan.batch);
  }
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

std::string flagrelease::pipelineJson(const Model &model, const MigrationPlan &plan, const Artefact &artefact) {
  json::Object root;
  root.set("version", 1);
  root.set("task", model.imported.task);
  root.set("kv_cache", plan.cacheText);
  root.set("vocab_size", model.vocabulary());
  root.set("max_length", model.maxLength());
  root.set("length_dependent", model.imported.lengthDependent);
  if (model.padId())
    root.set("pad_token_id", *model.padId());
  json::Array hidden;
  for (const std::string &tap : model.imported.hidden)
    hidden.emplace_back(tap);
  root.set("hidden", hidden);
  json::Array parts;
  ModuleOp module = *artefact.module;
  for (func::FuncOp function : module.getOps<func::FuncOp>()) {
    json::Object part;
    part.set("name", function.getName().str());
    for (const ExportedFile &file : artefact.files.files)
      if (file.kind == ExportedFile::Kind::Written)
        part.set("file", file.path);
    auto describe = [&](Type type, std::string name) {
      json::Object tensor;
      tensor.set("name", name);
      std::optional<DType> element = flagrelease::dtypeOf(elementOf(type));
      tensor.set("dtype", element ? dtypeName(*element).str() : std::string());
      json::Array dims;
      for (const DimExpr &dim : dimsOf(type))
        dims.push_back(dim.isStatic() ? json::Value(dim.value()) : json::Value(dim.str()));
      tensor.set("shape", dims);
      return json::Value(tensor);
    };
    json::Array inputs, outputs;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      inputs.push_back(describe(function.getArgument(i).getType(), function.getArgAttrOfType<StringAttr>(i, kNameAttr).str()));
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      outputs.push_back(describe(function.getResultTypes()[i], function.getResultAttrOfType<StringAttr>(i, kNameAttr).str()));
    part.set("inputs", inputs);
    part.set("outputs", outputs);
    parts.emplace_back(part);
  }
  root.set("parts", parts);
  return json::toText(json::Value(root), json::Writer::Style::Pretty);
}
