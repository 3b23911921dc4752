#include "tests/support/Fixture.h"

#include "tests/support/FixtureValues.h"
#include "tests/support/TorchFile.h"
#include "text/Json.h"
#include "weights/Safetensors.h"

#include "llvm/Support/GlobPattern.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

namespace fs = std::filesystem;

namespace flagrelease::test {
namespace {

/// Files of a fixture that a checkpoint does not have.
bool isFixtureOnly(const std::string &name) { return name == "tensors.json" || StringRef(name).starts_with("golden"); }

LogicalResult cannotWrite(const fs::path &path, Diagnostics &diags) {
  return diags.error(path.string(), "cannot be written", "", Cause::Environment);
}

LogicalResult writeText(const fs::path &path, StringRef text, Diagnostics &diags) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  return out ? success() : cannotWrite(path, diags);
}

/// Safetensors (https://github.com/huggingface/safetensors) with tensors in the given order, which the library's own writer
/// sorts; or, under the name of one, a file of torch.save.
LogicalResult writeWeights(const fs::path &path, llvm::ArrayRef<FixtureTensor> tensors, Diagnostics &diags) {
  if (path.extension() == ".bin")
    return writeText(path, torchFile(tensors), diags);
  std::string header;
  json::Writer writer(header, json::Writer::Style::Compact);
  writer.beginObject();
  writer.key("__metadata__");
  writer.value(json::Object{{"format", "pt"}});
  uint64_t end = 0;
  for (const FixtureTensor &tensor : tensors) {
    writer.key(tensor.name);
    writer.beginObject();
    writer.member("dtype", dtypeName(tensor.type));
    writer.key("shape");
    writer.value(json::Array(tensor.shape.begin(), tensor.shape.end()));
    writer.key("data_offsets");
    writer.value(json::Array{end, end + tensor.bytes.size()});
    writer.endObject();
    end += tensor.bytes.size();
  }
  writer.endObject();
  header.resize((header.size() + 7) / 8 * 8, ' ');

  std::ofstream out(path, std::ios::binary);
  const uint64_t length = header.size(); // little endian on every machine that this runs on
  out.write(reinterpret_cast<const char *>(&length), sizeof length);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const FixtureTensor &tensor : tensors)
    out.write(reinterpret_cast<const char *>(tensor.bytes.data()), static_cast<std::streamsize>(tensor.bytes.size()));
  out.close();
  return out ? success() : cannotWrite(path, diags);
}

/// Cuts the list where the bytes so far reach the next share; order kept, every part has a tensor.
std::vector<llvm::ArrayRef<FixtureTensor>> cut(llvm::ArrayRef<FixtureTensor> tensors, unsigned shards) {
  uint64_t total = 0, before = 0;
  for (const FixtureTensor &tensor : tensors)
    total += tensor.bytes.size();
  std::vector<llvm::ArrayRef<FixtureTensor>> parts;
  size_t first = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (i > first && parts.size() + 1 < shards && before * shards >= total * (parts.size() + 1)) {
      parts.push_back(tensors.slice(first, i - first));
      first = i;
    }
    before += tensors[i].bytes.size();
  }
  parts.push_back(tensors.drop_front(first));
  return parts;
}

LogicalResult writeShards(const fs::path &path, llvm::ArrayRef<FixtureTensor> tensors, unsigned shards, Diagnostics &diags) {
  if (shards <= 1)
    return writeWeights(path, tensors, diags);
  const std::string stem = path.stem().string(), extension = path.extension().string();
  std::vector<llvm::ArrayRef<FixtureTensor>> parts = cut(tensors, shards);
  json::Object map;
  uint64_t total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    char suffix[48];
    std::snprintf(suffix, sizeof suffix, "-%05zu-of-%05zu", i + 1, parts.size());
    const std::string name = stem + suffix + extension;
    if (failed(writeWeights(path.parent_path() / name, parts[i], diags)))
      return failure();
    for (const FixtureTensor &tensor : parts[i]) {
      map.append(tensor.name, name);
      total += tensor.bytes.size();
    }
  }
  const json::Object index{{"metadata", json::Object{{"total_size", total}}}, {"weight_map", std::move(map)}};
  const std::string text = json::toText(index, json::Writer::Style::Pretty);
  return writeText(path.parent_path() / (stem + extension + ".index.json"), StringRef(text).rtrim('\n'), diags);
}

/// The type names of config.json's `torch_dtype`.
StringRef torchName(DType type) {
  switch (type) {
  case DType::F64:
    return "float64";
  case DType::F32:
    return "float32";
  case DType::F16:
    return "float16";
  default:
    return "bfloat16";
  }
}

LogicalResult renameDType(const fs::path &config, DType type, Diagnostics &diags) {
  FailureOr<json::Value> value = json::parseFile(config.string(), diags);
  if (failed(value))
    return failure();
  json::Object object = value->object();
  object.set(object.contains("dtype") ? "dtype" : "torch_dtype", torchName(type));
  return writeText(config, json::toText(object, json::Writer::Style::Pretty), diags);
}

LogicalResult copyJson(const fs::path &from, const fs::path &to, Diagnostics &diags) {
  std::error_code error;
  fs::create_directories(to, error);
  for (fs::recursive_directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    const fs::path relative = fs::relative(at->path(), from, error);
    if (at->path().extension() != ".json" || isFixtureOnly(at->path().filename().string()))
      continue;
    fs::create_directories((to / relative).parent_path(), error);
    fs::copy_file(at->path(), to / relative, fs::copy_options::overwrite_existing, error);
  }
  return error ? diags.error(from.string(), "cannot be copied to " + to.string() + ": " + error.message(), "", Cause::Environment)
               : success();
}

std::vector<std::string> strings(const json::Value *list) {
  std::vector<std::string> out;
  if (list)
    for (const json::Value &element : list->array())
      out.push_back(element.string().str());
  return out;
}

std::vector<int64_t> integers(const json::Value *list) {
  std::vector<int64_t> out;
  if (list && list->isArray())
    for (const json::Value &element : list->array())
      out.push_back(element.integer());
  return out;
}

std::string text(const json::Value &object, StringRef key) {
  const json::Value *value = object.find(key);
  return value && value->isString() ? value->string().str() : "";
}

} // namespace

std::string fixturePath(const std::string &name) {
  std::string root = std::string(FLAGRELEASE_FIXTURES) + "/models";
  return name.empty() ? root : root + "/" + name;
}

std::vector<std::string> fixtureNames() {
  std::vector<std::string> names;
  for (const fs::directory_entry &entry : fs::directory_iterator(fixturePath()))
    if (entry.is_directory())
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> coreFixtureNames() {
  static constexpr llvm::StringLiteral kFamilies[] = {"llama-", "mistral-", "qwen2-", "qwen3-", "quant-"};
  std::vector<std::string> names;
  for (const std::string &name : fixtureNames())
    if (llvm::any_of(kFamilies, [&](llvm::StringRef family) { return llvm::StringRef(name).starts_with(family); }))
      names.push_back(name);
  return names;
}

std::string tensorOf(const std::string &output, const std::vector<std::pair<std::string, std::string>> &hidden) {
  for (const auto &[name, tap] : hidden)
    if (name == output)
      return tap;
  return output;
}

LogicalResult materialise(const std::string &fixture, const std::string &folder, Diagnostics &diags,
                          const MaterialiseOptions &options) {
  if (failed(copyJson(fixture, folder, diags)))
    return failure();
  if (options.storeAs && fs::exists(fs::path(folder) / "config.json") &&
      failed(renameDType(fs::path(folder) / "config.json", *options.storeAs, diags)))
    return failure();
  FailureOr<json::Value> spec = json::parseFile(fixture + "/tensors.json", diags);
  if (failed(spec))
    return failure();
  if (text(*spec, "generator") != "splitmix64-v1")
    return diags.error(fixture + "/tensors.json: generator", "is \"" + text(*spec, "generator") + "\"",
                       "only splitmix64-v1 is known");
  for (const json::Member &file : spec->find("files")->object()) {
    std::vector<FixtureTensor> tensors;
    for (const json::Value &entry : file.value.array()) {
      FailureOr<FixtureTensor> tensor = makeTensor(entry, diags);
      if (failed(tensor))
        return failure();
      if (options.storeAs)
        storeAs(*tensor, *options.storeAs);
      tensors.push_back(std::move(*tensor));
    }
    fs::path path = fs::path(folder) / file.key;
    if (options.torch && path.filename() == "model.safetensors")
      path.replace_filename("pytorch_model.bin");
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (failed(writeShards(path, tensors, options.shards, diags)))
      return failure();
  }
  return success();
}

double Golden::tolerance(const std::string &output) const {
  auto found = noise.find(output);
  const double bound = found == noise.end() ? 0 : 10 * found->second;
  return std::max(1e-12, bound * bound);
}

namespace {
/// Names of a fixture that no run of the model has, from tests/fixtures/not_compared.txt: FIXTURE (glob), NAME (glob), why. With
/// "input: " before it, what golden.json has as an output is an input.
LogicalResult leaveOut(const std::string &fixture, Golden &golden, Diagnostics &diags) {
  const std::string path = std::string(FLAGRELEASE_FIXTURES) + "/not_compared.txt";
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line.front() == '#')
      continue;
    auto [folder, rest] = StringRef(line).split(' ');
    auto [name, why] = rest.split(' ');
    llvm::Expected<llvm::GlobPattern> folders = llvm::GlobPattern::create(folder), names = llvm::GlobPattern::create(name);
    if (!folders || !names || why.empty())
      return diags.error(path, "has a line that is none: " + line);
    if (!folders->match(StringRef(fs::path(fixture).filename().string())))
      continue;
    for (const std::string &output : golden.outputs)
      if (why.starts_with("input: ") && names->match(output))
        golden.inputs.push_back(output);
    for (std::vector<std::string> *list : {&golden.outputs, &golden.inputs})
      if (list == &golden.outputs || !why.starts_with("input: "))
        llvm::erase_if(*list, [&](const std::string &entry) { return names->match(entry); });
  }
  return success();
}

/// The run of text alone.
void takeTextRun(Golden &golden) {
  auto ids = golden.tensors.find("raw_text_ids");
  if (ids == golden.tensors.end() || !golden.tensors.count("text_logits"))
    return;
  for (const std::string &input : golden.inputs)
    golden.textInputs[input] = golden.tensors.at(input);
  const HostTensor &prompt = golden.tensors.at("input_ids");
  for (auto &[name, value] : golden.textInputs)
    if (value.type == DType::I64 && value.shape == prompt.shape)
      value =
          HostTensor::ofInts(ids->second.shape, std::vector<int64_t>(ids->second.elements(), name == "attention_mask" ? 1 : 0));
  golden.textInputs["input_ids"] = ids->second;
  // Time, row and column of a token of text are its place.
  if (auto places = golden.textInputs.find("mrope_position_ids"); places != golden.textInputs.end()) {
    const int64_t length = ids->second.shape.back(), rows = 3 * ids->second.elements() / length;
    std::vector<int64_t> iota;
    for (int64_t i = 0; i < rows * length; ++i)
      iota.push_back(i % length);
    places->second = HostTensor::ofInts({3, rows / 3, length}, iota);
  }
}
} // namespace

FailureOr<Golden> readGolden(const std::string &fixture, Diagnostics &diags) {
  FailureOr<json::Value> about = json::parseFile(fixture + "/golden.json", diags);
  FailureOr<NamedTensors> tensors = readSafetensors(fixture + "/golden.safetensors", diags);
  if (failed(about) || failed(tensors))
    return failure();
  Golden golden;
  golden.source = text(*about, "source");
  golden.architecture = text(*about, "architecture");
  golden.task = text(*about, "task");
  golden.inputs = strings(about->find("inputs"));
  golden.outputs = strings(about->find("outputs"));
  golden.tensors = std::move(*tensors);
  if (const json::Value *noise = about->find("noise"))
    for (const json::Member &member : noise->object())
      golden.noise[member.key] = member.value.number();
  golden.greedy = integers(about->find("greedy"));
  if (const json::Value *margin = about->find("min_margin"))
    golden.minMargin = margin->number();
  for (const std::vector<std::string> *names : {&golden.inputs, &golden.outputs})
    for (const std::string &name : *names)
      if (!golden.tensors.count(name))
        return diags.error(fixture + "/golden.json", "names " + name + ", which golden.safetensors lacks");
  if (failed(leaveOut(fixture, golden, diags)))
    return failure();
  takeTextRun(golden);
  return golden;
}

HostTensor withoutPads(HostTensor value, const NamedTensors &inputs) {
  auto mask = inputs.find("attention_mask");
  if (mask == inputs.end() || value.shape.size() != 3 || value.shape[1] != mask->second.shape[1])
    return value;
  int64_t width = value.shape[2];
  for (int64_t token = 0; token < mask->second.elements(); ++token)
    if (!mask->second.as<int64_t>()[token])
      std::fill_n(value.as<float>() + token * width, width, 0.0f);
  return value;
}

bool hasPaddedGolden(const std::string &fixture) { return fs::exists(fixture + "/golden-padded.json"); }

FailureOr<PaddedGolden> readPaddedGolden(const std::string &fixture, Diagnostics &diags) {
  FailureOr<json::Value> about = json::parseFile(fixture + "/golden-padded.json", diags);
  if (failed(about))
    return failure();
  PaddedGolden golden;
  golden.rows = integers(about->find("rows"));
  golden.alone = about->find("alone")->integer();
  golden.steps = about->find("steps")->integer();
  FailureOr<NamedTensors> lonely = readSafetensors(fixture + "/golden-alone.safetensors", diags);
  if (failed(lonely))
    return failure();
  golden.lonely = std::move(*lonely);
  for (auto [key, side] : {std::pair{"left", &golden.left}, {"right", &golden.right}}) {
    FailureOr<NamedTensors> tensors = readSafetensors(fixture + "/golden-" + key + ".safetensors", diags);
    if (failed(tensors))
      return failure();
    side->tensors = std::move(*tensors);
    side->prefillIsAlone = about->find(key)->find("prefill_is_alone")->boolean();
    side->decodeIsAlone = about->find(key)->find("decode_is_alone")->boolean();
  }
  return golden;
}

double nmse(const HostTensor &got, const HostTensor &expected) {
  if (got.shape != expected.shape)
    return std::numeric_limits<double>::infinity();
  double difference = 0, energy = 0;
  for (int64_t i = 0, count = expected.elements(); i < count; ++i) {
    const double e = expected.at(i), d = got.at(i) - e;
    difference += d * d;
    energy += e * e;
  }
  if (!std::isfinite(difference))
    return std::numeric_limits<double>::infinity();
  return difference == 0 ? 0 : difference / energy;
}

} // namespace flagrelease::test
