// Runs a checkpoint on the reference, or an artefact on a device, with inputs from a file.
#include "cli/Proof.h"
#include "cli/Tokens.h"
#include "cli/Verbs.h"
#include "devices/reference/ReferenceModel.h"
#include "text/Escape.h"
#include "validators/Generate.h"
#include "validators/ModelInputs.h"
#include "weights/Safetensors.h"

#include <filesystem>
#include <set>

using namespace flagrelease;

namespace {
std::vector<std::vector<int64_t>> rowsOf(const NamedTensors &tensors) {
  std::vector<std::vector<int64_t>> rows;
  const HostTensor &ids = tensors.at("input_ids");
  auto mask = tensors.find("attention_mask");
  for (int64_t b = 0; b < ids.shape[0]; ++b) {
    rows.emplace_back();
    for (int64_t j = 0; j < ids.shape[1]; ++j)
      if (mask == tensors.end() || mask->second.as<int64_t>()[b * ids.shape[1] + j])
        rows.back().push_back(ids.as<int64_t>()[b * ids.shape[1] + j]);
  }
  return rows;
}

FailureOr<NamedTensors> readIds(const std::string &path, const char *flag, Diagnostics &diags) {
  FailureOr<NamedTensors> tensors = readSafetensors(path, diags);
  if (failed(tensors))
    return failure();
  auto ids = tensors->find("input_ids");
  if (ids == tensors->end() || ids->second.type != DType::I64 || ids->second.shape.size() != 2)
    return diags.error(flag, "holds no tensor input_ids of I64 [batch, sequence]", "write one with any safetensors library");
  return tensors;
}

/// Text that a model read or wrote, line by line, each behind `mark`.
std::string marked(StringRef mark, StringRef text) {
  std::string out;
  llvm::SmallVector<StringRef> lines;
  text.split(lines, '\n');
  for (StringRef line : lines)
    out += (out.empty() ? "" : "\n") + mark.str() + escape::terminal(line);
  return out;
}

void showWritten(const NamedTensors &tensors, const Options &options, Console &console) {
  if (!options.json)
    return console.result("wrote " + Twine(tensors.size()) + " tensors to " + escape::terminal(options.out));
  json::Array names;
  for (const auto &[name, tensor] : tensors)
    names.emplace_back(name);
  console.result(json::toText(json::Value(json::Object{{"out", options.out}, {"tensors", std::move(names)}})));
}

void showText(const std::string &folder, const std::vector<std::vector<int64_t>> &rows,
              const std::vector<std::vector<int64_t>> &written, const NamedTensors &given, const Options &options,
              Console &console) {
  Diagnostics quiet;
  FailureOr<TokenBytes> tokens = TokenBytes::read(folder + "/tokenizer.json", quiet);
  auto expected = given.find("greedy");
  bool comparable = expected != given.end() && expected->second.shape.size() == 2 &&
                    expected->second.shape[0] == static_cast<int64_t>(rows.size()) && expected->second.type == DType::I64;
  bool equal = comparable;
  if (comparable)
    for (size_t r = 0; r < rows.size(); ++r)
      for (size_t i = 0; i < written[r].size() && static_cast<int64_t>(i) < expected->second.shape[1]; ++i)
        equal &= written[r][i] == expected->second.as<int64_t>()[r * expected->second.shape[1] + i];
  if (options.json) {
    json::Array array;
    for (size_t r = 0; r < rows.size(); ++r) {
      json::Object entry;
      json::Array ids;
      for (int64_t id : written[r])
        ids.emplace_back(id);
      entry.set("ids", ids);
      if (succeeded(tokens))
        entry.set("text", tokens->decode(written[r]));
      array.emplace_back(entry);
    }
    json::Object root;
    root.set("rows", array);
    if (comparable)
      root.set("equals_greedy", equal);
    console.result(json::toText(json::Value(root)));
    return;
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    if (succeeded(tokens)) {
      if (r)
        console.result("");
      console.result(marked("| ", tokens->decode(rows[r])));
      console.result(marked("> ", tokens->decode(written[r])));
    } else {
      std::string ids;
      for (int64_t id : written[r])
        ids += std::to_string(id) + " ";
      console.result(ids);
    }
  }
  if (comparable)
    console.result(equal ? "equal to `greedy` of the file" : "NOT equal to `greedy` of the file");
}

int runReference(const Options &options, Console &console, Diagnostics &diags) {
  if (isArtefact(options.source)) {
    (void)diags.error("--device reference", options.source + " is an artefact, the reference runs checkpoints",
                      "name the checkpoint, or a device");
    return exitCodeOf(diags);
  }
  FailureOr<Model> model = openModel(options, console, diags);
  if (failed(model))
    return exitCodeOf(diags);
  ReferencePrecision precision = options.device == "reference:fp64" ? ReferencePrecision::F64 : ReferencePrecision::F32;
  FailureOr<std::unique_ptr<ReferenceModel>> reference =
      ReferenceModel::open(*model->imported.module, *model->checkpoint, precision, diags);
  if (failed(reference))
    return exitCodeOf(diags);
  auto stop = [&] { return console.stop.requested(); };
  if (options.greedy) {
    FailureOr<NamedTensors> given = readIds(options.promptIds, "--prompt-ids", diags);
    if (failed(given))
      return exitCodeOf(diags);
    std::vector<std::vector<int64_t>> rows = rowsOf(*given), written(rows.size());
    for (auto [r, row] : llvm::enumerate(rows)) {
      FailureOr<NamedTensors> answer =
          (*reference)
              ->run({{"input_ids", HostTensor::ofInts({1, static_cast<int64_t>(row.size())}, row)}}, {false, false, stop}, diags);
      for (int64_t step = 0; step < options.greedy; ++step) {
        if (failed(answer))
          return exitCodeOf(diags);
        const HostTensor &logits = answer->at("logits");
        int64_t vocabulary = logits.shape.back(), base = logits.elements() - vocabulary, best = 0;
        for (int64_t i = 1; i < vocabulary; ++i)
          if (logits.at(base + i) > logits.at(base + best))
            best = i;
        written[r].push_back(best);
        if (step + 1 < options.greedy)
          answer = (*reference)->run({{"input_ids", HostTensor::ofInts({1, 1}, {best})}}, {false, true, stop}, diags);
      }
    }
    showText(model->source.folder, rows, written, *given, options, console);
    return 0;
  }
  FailureOr<NamedTensors> inputs = readIds(options.inputs, "--inputs", diags);
  if (failed(inputs))
    return exitCodeOf(diags);
  // Only what the model takes: a golden file holds outputs too.
  auto main = model->imported.module->lookupSymbol<mlir::func::FuncOp>(kMainFunction);
  std::set<std::string> taken;
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    taken.insert(main.getArgAttrOfType<mlir::StringAttr>(i, kNameAttr).str());
  std::erase_if(*inputs, [&](const auto &input) { return !taken.count(input.first); });
  FailureOr<NamedTensors> outputs = (*reference)->run(*inputs, {options.taps, false, stop}, diags);
  if (failed(outputs))
    return exitCodeOf(diags);
  outputs->insert(inputs->begin(), inputs->end());
  if (options.taps)
    for (const auto &[name, tap] : model->imported.hidden)
      if (auto it = outputs->find(tap); it != outputs->end())
        outputs->emplace(name, it->second);
  if (failed(writeSafetensors(options.out, *outputs, {}, diags)))
    return exitCodeOf(diags);
  showWritten(*outputs, options, console);
  return 0;
}

int runDevice(const Options &options, Console &console, Diagnostics &diags) {
  if (!isArtefact(options.source)) {
    (void)diags.error(escape::terminal(options.source), "is no artefact: " + options.device + " runs what a migration wrote",
                      "migrate first, or use --device reference");
    return exitCodeOf(diags);
  }
  FailureOr<Manifest> manifest = readManifest(options.source, diags);
  FailureOr<DeviceConfig> config =
      failed(manifest) ? FailureOr<DeviceConfig>(failure()) : deviceConfig(options, console, "", diags);
  if (failed(config) || failed(checkDevice(options.device, formatOf(*manifest), *config, diags)) ||
      failed(guardLinks(*manifest, options.device, *config, diags)))
    return exitCodeOf(diags);
  FailureOr<std::unique_ptr<Device>> device = openDevice(options.device, *config, diags);
  if (failed(device))
    return exitCodeOf(diags);
  FailureOr<LoadedModel> loaded = (*device)->load(modelPathOf(options.source, *manifest), {}, diags);
  if (failed(loaded))
    return exitCodeOf(diags);
  loaded->stateInit = stateInitOf(options.source);
  if (options.greedy) {
    FailureOr<NamedTensors> given = readIds(options.promptIds, "--prompt-ids", diags);
    if (failed(given))
      return exitCodeOf(diags);
    std::vector<std::vector<int64_t>> rows = rowsOf(*given);
    FailureOr<std::vector<std::vector<int64_t>>> written = generateGreedy(**device, *loaded, rows, options.greedy, diags);
    if (failed(written))
      return exitCodeOf(diags);
    showText(options.source + "/model", rows, *written, *given, options, console);
    return 0;
  }
  FailureOr<NamedTensors> inputs = readIds(options.inputs, "--inputs", diags);
  if (failed(inputs))
    return exitCodeOf(diags);
  for (auto it = inputs->begin(); it != inputs->end();) {
    bool known = llvm::any_of(loaded->inputs, [&](const TensorSpec &spec) { return spec.name == it->first; });
    it = known ? std::next(it) : inputs->erase(it);
  }
  FailureOr<NamedTensors> outputs = runOnce(**device, *loaded, *inputs, diags);
  if (failed(outputs))
    return exitCodeOf(diags);
  outputs->insert(inputs->begin(), inputs->end());
  if (failed(writeSafetensors(options.out, *outputs, {}, diags)))
    return exitCodeOf(diags);
  showWritten(*outputs, options, console);
  return 0;
}

int run(const Options &options, Console &console, Diagnostics &diags) {
  if (options.greedy && options.promptIds.empty())
    (void)diags.error("--greedy", "needs --prompt-ids", "name a safetensors file with input_ids");
  else if (!options.greedy && (options.inputs.empty() || options.out.empty()))
    (void)diags.error("run", "needs --inputs and --out, or --prompt-ids and --greedy", "see `flagrelease run --help`");
  if (diags.hasErrors())
    return exitCodeOf(diags);
  bool reference = options.device == "reference" || options.device == "reference:fp64";
  return reference ? runReference(options, console, diags) : runDevice(options, console, diags);
}

void declare(CLI::App &app, Options &options) {
  declareSource(app, options);
  app.add_option("--device", options.device, "reference, reference:fp64, or a device that runs artefacts")
      ->required()
      ->type_name("DEVICE");
  app.add_option("--devices", options.devicesFile, "devices.yaml")->type_name("FILE");
  app.add_option("--inputs", options.inputs, "a safetensors file with the inputs")->type_name("FILE");
  app.add_option("--out", options.out, "a safetensors file for inputs, outputs and taps")->type_name("FILE");
  app.add_flag("--taps", options.taps, "with the tensors after each layer and branch");
  app.add_option("--prompt-ids", options.promptIds, "a safetensors file with input_ids to go on from")->type_name("FILE");
  app.add_option("--greedy", options.greedy, "write this many tokens after each row")->type_name("N")->check(CLI::PositiveNumber);
  app.add_flag("--no-sandbox", options.noSandbox, "run local runners without isolation");
}
} // namespace

const Verb flagrelease::kRun = {"run", "run a checkpoint or an artefact on inputs from a file", declare, run};
