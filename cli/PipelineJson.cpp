// model/pipeline.json: what a device needs to know of an artefact beside its files.
#include "cli/Artefact.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/Support/FileSystem.h"

using namespace flagrelease;
using namespace mlir;

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
  std::map<std::string, json::Array> hidden{{"hidden", {}}}; // by list: hidden, encoder_hidden
  for (const auto &[name, tap] : model.imported.hidden)
    hidden[StringRef(name).rsplit('.').first.str()].emplace_back(tap);
  for (auto &[list, taps] : hidden)
    root.set(list, taps);
  if (plan.exporter->checkpoint) { // the engine owns the graph: there are files, and no parts that a device wires
    json::Array files;
    for (const ExportedFile &file : artefact.files.files)
      files.emplace_back(file.path);
    llvm::sort(files, [](const json::Value &a, const json::Value &b) { return a.string() < b.string(); });
    root.set("files", files);
    return json::toText(json::Value(root), json::Writer::Style::Pretty);
  }
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
  // States that do not begin with 0.
  json::Object first;
  model.imported.module.get().walk([&](fr::StateOp state) {
    if (double init = state.getInit().convertToDouble(); init != 0)
      first.set(("past_states." + Twine(state.getLayer()) + "." + state.getPart()).str(), init);
  });
  if (!first.empty())
    root.set("state_init", first);
  root.set("parts", parts);
  return json::toText(json::Value(root), json::Writer::Style::Pretty);
}

std::string flagrelease::formatOf(const Manifest &manifest) {
  auto format = manifest.build.options.find("format");
  return format == manifest.build.options.end() ? "" : format->second;
}

std::string flagrelease::modelPathOf(const std::string &folder, const Manifest &manifest) {
  const Exporter *exporter = findExporter(formatOf(manifest));
  const std::string model = folder + "/model";
  if (!exporter || exporter->entry.empty())
    return model;
  // Of a file in parts the first one, which names the others.
  const auto [stem, extension] = exporter->entry.rsplit('.');
  for (const ManifestFile &file : manifest.files)
    if (StringRef name = file.path; name.consume_front("model/") && name.consume_front(stem) && name.starts_with("-00001-of-") &&
                                    name.ends_with(("." + extension).str()))
      return folder + "/" + file.path;
  return model + "/" + exporter->entry.str();
}

std::map<std::string, double> flagrelease::stateInitOf(const std::string &folder) {
  std::map<std::string, double> init;
  Diagnostics ignored; // a file of somebody else: states begin with 0
  const std::string path = folder + "/model/pipeline.json";
  if (!llvm::sys::fs::exists(path))
    return init;
  FailureOr<json::Value> root = json::parseFile(path, ignored);
  const json::Value *first = failed(root) ? nullptr : root->find("state_init");
  if (first && first->isObject())
    for (const json::Member &member : first->object())
      if (std::optional<double> value = member.value.asNumber())
        init[member.key] = *value;
  return init;
}
