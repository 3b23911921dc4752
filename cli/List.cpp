// What the program knows.
#include "cli/Knowledge.h"
#include "cli/Verbs.h"
#include "devices/Device.h"
#include "devices/DevicesYaml.h"
#include "exporters/Exporter.h"
#include "importers/huggingface/GraphBuilder.h"
#include "text/Escape.h"
#include "text/Json.h"

using namespace flagrelease;

namespace {
struct Row {
  std::string name, what;
  json::Object more;
};

FailureOr<std::vector<Row>> rowsOf(const Options &options, Diagnostics &diags) {
  std::vector<Row> rows;
  if (options.topic == "models") {
    FailureOr<RecipeSet> recipes = loadModelRecipes(options, diags);
    if (failed(recipes))
      return failure();
    diags.merge(recipes->problems());
    for (const RecipeHead &head : recipes->heads()) {
      std::vector<std::string> architectures;
      for (const MatchEntry &entry : head.match)
        for (const auto &[key, values] : entry.keys)
          if (key == "architectures")
            architectures.insert(architectures.end(), values.begin(), values.end());
      Row row{head.name, llvm::join(architectures, ", "), {}};
      Diagnostics quiet;
      FailureOr<ModelRecipe> recipe = recipes->read(head.name, quiet);
      bool built = succeeded(recipe) && recipe->notBuilt.empty();
      if (!built)
        row.what += " (not built yet)";
      row.more.set("built", built);
      rows.push_back(row);
    }
  } else if (options.topic == "chips" || options.topic == "schemes") {
    FailureOr<TargetRecipes> targets = loadTargetRecipes(options, diags);
    if (failed(targets))
      return failure();
    if (options.topic == "schemes") {
      for (const auto &[name, scheme] : targets->schemes.all())
        rows.push_back({name, scheme.summary, {}});
    } else {
      for (const auto &[name, chip] : targets->chips.all()) {
        std::vector<std::string> ways;
        for (const Toolchain &toolchain : chip.toolchains)
          ways.push_back(toolchain.format + " (" + toolchain.engine + ")");
        rows.push_back({name, chip.vendor + ", " + chipKindName(chip.kind).str() + ": " + llvm::join(ways, ", "), {}});
      }
    }
  } else if (options.topic == "formats") {
    for (const Exporter &exporter : exporters())
      rows.push_back({exporter.name.str(), exporter.description.str(), {}});
  } else if (options.topic == "devices") {
    rows.push_back({"reference", "in this process, fp32", {}});
    for (const ShippedDevice &device : shippedDevices())
      rows.push_back(
          {device.name, std::string(device.summary) + ", format " + device.format + ", " + tierName(device.tier).str(), {}});
    FailureOr<std::vector<DeviceEntry>> own = loadDevices(options.devicesFile, diags);
    if (failed(own))
      return failure();
    for (const DeviceEntry &entry : *own)
      rows.push_back({entry.name, "chip " + entry.chip + ", from devices.yaml", {}});
  } else {
    for (const StepBlock &block : importerBlocks())
      rows.push_back({block.schema->kind.str(), block.schema->doc.str(), {}});
  }
  return rows;
}

int run(const Options &options, Console &console, Diagnostics &diags) {
  if (options.markdown && options.topic == "chips") {
    FailureOr<TargetRecipes> targets = loadTargetRecipes(options, diags);
    if (succeeded(targets))
      console.result(chipsMarkdown(targets->chips));
    return exitCodeOf(diags);
  }
  FailureOr<std::vector<Row>> rows = rowsOf(options, diags);
  if (failed(rows))
    return exitCodeOf(diags);
  if (options.json) {
    json::Array array;
    for (const Row &row : *rows) {
      json::Object entry;
      entry.set("name", row.name);
      entry.set("description", row.what);
      for (const json::Member &member : row.more)
        entry.set(member.key, member.value);
      array.emplace_back(entry);
    }
    console.result(json::toText(json::Value(array)));
    return exitCodeOf(diags);
  }
  size_t width = 0;
  for (const Row &row : *rows)
    width = std::max(width, row.name.size());
  for (const Row &row : *rows)
    console.result(escape::terminal(row.name) + std::string(width - row.name.size() + 2, ' ') + escape::terminal(row.what));
  return exitCodeOf(diags);
}

void declare(CLI::App &app, Options &options) {
  app.add_option("topic", options.topic, "models, chips, formats, schemes, devices or ops")
      ->required()
      ->check(CLI::IsMember({"models", "chips", "formats", "schemes", "devices", "ops"}));
  app.add_flag("--markdown", options.markdown, "chips: as docs/chips.md");
  app.add_option("--devices", options.devicesFile, "devices.yaml to list")->type_name("FILE");
  declareCommon(app, options);
}
} // namespace

const Verb flagrelease::kList = {"list", "show the models, chips, formats, schemes, devices or ops that are known", declare, run};
