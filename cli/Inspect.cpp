// What a checkpoint is: files, tensors by pattern, family, task, options.
#include "cli/Planning.h"
#include "cli/Verbs.h"
#include "importers/huggingface/Config.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Nearest.h"
#include "text/Escape.h"
#include "text/Sizes.h"
#include "weights/Gguf.h"

#include "llvm/ADT/StringExtras.h"

#include <filesystem>

using namespace flagrelease;

namespace {
struct Pattern {
  std::string name, dtype, shape;
  int64_t count = 0;
  uint64_t bytes = 0;
};

/// Numbers in a name become {n}: 46,000 expert tensors are a few lines.
std::string patternOf(StringRef name) {
  std::string out;
  llvm::SmallVector<StringRef> parts;
  name.split(parts, '.');
  for (StringRef part : parts)
    out += (out.empty() ? "" : ".") + (!part.empty() && llvm::all_of(part, llvm::isDigit) ? std::string("{n}") : part.str());
  return out;
}

std::vector<Pattern> patternsOf(const Checkpoint &checkpoint) {
  std::map<std::string, Pattern> found;
  std::vector<std::string> order;
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    std::string shape = "[";
    for (auto [i, d] : llvm::enumerate(tensor.block ? tensor.decoded : tensor.shape))
      shape += (i ? ", " : "") + std::to_string(d);
    shape += "]";
    std::string dtype = ggmlTypeName(tensor.type, tensor.block);
    std::string key = patternOf(tensor.name) + " " + dtype + shape;
    Pattern &pattern = found[key];
    if (!pattern.count++)
      order.push_back(key);
    pattern.name = patternOf(tensor.name);
    pattern.dtype = dtype;
    pattern.shape = shape;
    pattern.bytes += tensor.bytes;
  }
  std::vector<Pattern> out;
  for (const std::string &key : order)
    out.push_back(found[key]);
  return out;
}

/// What a GGUF file says about itself: its scalars, and the kind and size of its vocabulary.
std::vector<std::pair<std::string, std::string>> factsOf(const Checkpoint &checkpoint) {
  std::vector<std::pair<std::string, std::string>> facts;
  if (!checkpoint.gguf)
    return facts;
  for (const auto &[key, value] : checkpoint.gguf->all()) {
    if (value.isList())
      facts.emplace_back(key, std::to_string(value.size()) + " x " + ggufTypeName(value.type()).str());
    else if (!StringRef(key).starts_with("tokenizer.chat_template"))
      facts.emplace_back(key, value.str());
  }
  return facts;
}

/// Of a model that no recipe takes: those that come nearest. Empty where config.json cannot be read, or a recipe fits.
std::vector<NearRecipe> nearestOf(const Checkpoint &checkpoint, const Options &options) {
  Diagnostics quiet; // openModel() has said what is wrong
  if (checkpoint.gguf)
    return {};
  FailureOr<json::Object> config = readConfig(checkpoint.folder, quiet);
  FailureOr<RecipeSet> recipes = loadModelRecipes(options, quiet);
  if (failed(config) || failed(recipes) || succeeded(recipes->match(*config, "config.json", quiet)))
    return {};
  return nearestRecipes(checkpoint, *config, *recipes, 3);
}

std::string listOf(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : llvm::ArrayRef(names).take_front(12))
    text += (text.empty() ? "" : ", ") + escape::terminal(name, 120);
  return names.size() > 12 ? text + ", and " + std::to_string(names.size() - 12) + " more" : text;
}

int run(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<Source> source = resolveSource(options, diags);
  if (failed(source))
    return exitCodeOf(diags);
  Diagnostics reading;
  FailureOr<Checkpoint> checkpoint = openCheckpoint(source->folder, reading);
  // A folder must be a model, and GGUF says what it is of; another file may be one that has only tensors to show.
  std::error_code error;
  const bool isModel = succeeded(checkpoint) && (checkpoint->gguf || std::filesystem::is_directory(source->folder, error) ||
                                                 std::filesystem::exists(checkpoint->folder + "/config.json", error));
  if (!isModel)
    diags.merge(reading); // else openModel() says the same
  if (failed(checkpoint))
    return exitCodeOf(diags);
  if (!isModel)
    diags.note(source->name, "has no config.json beside it: what model its tensors are is not known");
  uint64_t parameters = 0;
  for (const CheckpointTensor &tensor : checkpoint->tensors) {
    uint64_t n = 1;
    for (int64_t d : tensor.block ? tensor.decoded : tensor.shape)
      n *= d;
    parameters += n;
  }
  std::vector<Pattern> patterns = patternsOf(*checkpoint);
  FailureOr<Model> model = isModel ? openModel(options, console, diags) : FailureOr<Model>(failure());
  std::vector<NearRecipe> nearest = isModel && failed(model) ? nearestOf(*checkpoint, options) : std::vector<NearRecipe>();
  if (options.json) {
    json::Object root;
    root.set("name", source->name);
    root.set("parameters", parameters);
    root.set("bytes", checkpoint->totalBytes());
    json::Array files, tensors, hidden, ignored;
    for (const CheckpointFile &file : checkpoint->files) {
      json::Object entry;
      entry.set("name", file.name);
      entry.set("bytes", file.bytes);
      files.emplace_back(entry);
    }
    for (const Pattern &pattern : patterns) {
      json::Object entry;
      entry.set("pattern", pattern.name);
      entry.set("dtype", pattern.dtype);
      entry.set("shape", pattern.shape);
      entry.set("count", pattern.count);
      entry.set("bytes", pattern.bytes);
      tensors.emplace_back(entry);
    }
    root.set("files", files);
    root.set("tensors", tensors);
    if (checkpoint->gguf) {
      json::Object facts;
      for (const auto &[key, value] : factsOf(*checkpoint))
        facts.set(key, value);
      root.set("gguf", facts);
    }
    if (succeeded(model)) {
      root.set("family", model->imported.recipe);
      root.set("task", model->imported.task);
      root.set("architecture", model->imported.architecture);
      for (const TensorTable::Ignored &entry : model->imported.ignored)
        ignored.emplace_back(entry.name);
      root.set("ignored", ignored);
    }
    json::Array near;
    for (const NearRecipe &one : nearest) {
      json::Object entry;
      entry.set("family", one.name);
      entry.set("known", static_cast<int64_t>(one.known));
      entry.set("patterns", static_cast<int64_t>(one.all));
      auto list = [&](const char *key, const std::vector<std::string> &names) {
        json::Array items;
        for (const std::string &name : names)
          items.emplace_back(name);
        entry.set(key, items);
      };
      list("unknown_tensors", one.unknown);
      list("absent_tensors", one.absent);
      list("unknown_keys", one.unknownKeys);
      near.emplace_back(entry);
    }
    if (!near.empty())
      root.set("nearest", near);
    console.result(json::toText(json::Value(root)));
    return exitCodeOf(diags);
  }
  console.result(escape::terminal(source->name) + ": " + humanCount(parameters) + " parameters, " +
                 humanBytes(checkpoint->totalBytes()) + " in " + Twine(checkpoint->files.size()) +
                 (checkpoint->files.size() == 1 ? " file" : " files"));
  if (succeeded(model)) {
    console.result("  family " + model->imported.recipe + ", architecture " + escape::terminal(model->imported.architecture) +
                   ", task " + model->imported.task);
    console.result("  layers " + Twine(model->configInt("num_hidden_layers", 0)) + ", hidden " +
                   Twine(model->configInt("hidden_size", 0)) + ", heads " + Twine(model->configInt("num_attention_heads", 0)) +
                   ", positions " + Twine(model->maxLength()) + ", vocabulary " + Twine(model->vocabulary()));
    for (const TensorTable::Ignored &entry : model->imported.ignored)
      console.result("  ignored " + escape::terminal(entry.name) + ": " + entry.reason);
  }
  for (const NearRecipe &one : nearest) {
    console.result("  near recipe " + one.name + ": names " + Twine(one.known) + " of " + Twine(one.all) + " kinds of tensors");
    if (&one != &nearest.front())
      continue;
    if (!one.unknown.empty())
      console.result("    tensors that it does not know: " + listOf(one.unknown));
    if (!one.absent.empty())
      console.result("    tensors that it may use and the file lacks: " + listOf(one.absent));
    if (!one.unknownKeys.empty())
      console.result("    config keys that it does not know: " + listOf(one.unknownKeys));
    console.result("    tools/new_family writes a draft of a recipe from it (CONTRIBUTING.md, \"Add a family\")");
  }
  for (const auto &[key, value] : factsOf(*checkpoint))
    console.result("  " + escape::terminal(key, 80) + " = " + value);
  for (const Pattern &pattern : patterns)
    console.result("  " + escape::terminal(pattern.name) + " " + pattern.dtype + " " + pattern.shape +
                   (pattern.count > 1 ? " x" + std::to_string(pattern.count) : ""));
  return exitCodeOf(diags);
}

void declare(CLI::App &app, Options &options) { declareSource(app, options); }
} // namespace

const Verb flagrelease::kInspect = {"inspect", "show what a checkpoint is, reading headers only", declare, run};
