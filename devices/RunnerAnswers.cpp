// What a runner answers, taken apart and doubted: docs/runner-protocol.md, "Frames" and "Tensors".
#include "devices/RunnerDevice.h"

#include "devices/TensorFile.h"
#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"

namespace flagrelease {

namespace {

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t size : shape)
    text += (text.size() > 1 ? ", " : "") + (size < 0 ? std::string("?") : std::to_string(size));
  return text + "]";
}

bool fits(const std::vector<int64_t> &shape, const std::vector<int64_t> &declared) {
  if (shape.size() != declared.size())
    return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (declared[i] >= 0 && declared[i] != shape[i])
      return false;
  return true;
}

/// `{name?, dtype, shape}` of a frame. An empty string, or what is wrong.
std::string readSpec(const json::Value &value, TensorSpec &spec) {
  const json::Value *dtype = value.find("dtype"), *shape = value.find("shape");
  if (!dtype || !dtype->isString() || !shape || !shape->isArray())
    return "has no dtype and shape";
  std::optional<DType> type = parseDType(dtype->string());
  if (!type)
    return "has the unknown dtype \"" + escape::terminal(dtype->string(), 40) + "\"";
  spec.type = *type;
  for (const json::Value &size : shape->array()) {
    if (!size.isInt() || size.integer() < -1)
      return "has the impossible shape " + escape::terminal(json::toText(*shape), 120);
    spec.shape.push_back(size.integer());
  }
  return "";
}

void take(const json::Value &from, StringRef key, std::string &to) {
  if (const json::Value *value = from.find(key); value && value->isString())
    to = escape::terminal(value->string(), 200);
}
void take(const json::Value &from, StringRef key, uint64_t &to) {
  if (const json::Value *value = from.find(key); value && value->isInt() && value->integer() > 0)
    to = static_cast<uint64_t>(value->integer());
}

} // namespace

FailureOr<Probe> RunnerDevice::readProbe(const json::Value &result, Diagnostics &diags) {
  const json::Value *found = result.find("probe");
  if (!found || !found->isObject())
    return fail(DeviceFault::BadAnswer, "the answer to probe has no probe", "see docs/runner-protocol.md", diags);
  Probe probe;
  take(*found, "chip", probe.chip), take(*found, "driver", probe.driver), take(*found, "sdk", probe.sdk);
  take(*found, "engine", probe.engine), take(*found, "engine_version", probe.engineVersion);
  take(*found, "os", probe.os), take(*found, "cpu", probe.cpu);
  take(*found, "memory_bytes", probe.memoryBytes), take(*found, "device_memory_bytes", probe.deviceMemoryBytes);
  if (const json::Value *versions = found->find("versions"); versions && versions->isObject())
    for (const json::Member &member : versions->object())
      if (probe.versions.size() < 200)
        take(*versions, member.key, probe.versions[escape::terminal(member.key, 100)]);
  return probe;
}

FailureOr<LoadedModel> RunnerDevice::readLoaded(const json::Value &result, Diagnostics &diags) {
  LoadedModel read;
  for (auto [key, list] : {std::pair("inputs", &read.inputs), std::pair("outputs", &read.outputs)}) {
    const json::Value *specs = result.find(key);
    if (!specs || !specs->isArray())
      return fail(DeviceFault::BadAnswer, "the answer to load has no " + Twine(key), "see docs/runner-protocol.md", diags);
    for (const json::Value &value : specs->array()) {
      TensorSpec spec;
      const json::Value *named = value.find("name");
      std::string what = named && named->isString() ? readSpec(value, spec) : "has no name";
      if (!what.empty())
        return fail(DeviceFault::BadAnswer, "the answer to load: one of the " + Twine(key) + " " + what,
                    "see docs/runner-protocol.md", diags);
      spec.name = named->string().str();
      list->push_back(std::move(spec));
    }
  }
  return read;
}

FailureOr<NamedTensors> RunnerDevice::readAnswer(const json::Value &result, const std::string &file, Diagnostics &diags) {
  const char *remedy = "the runner is wrong, not the model; see docs/runner-protocol.md";
  auto lie = [&](StringRef tensor, const Twine &what) {
    fault = DeviceFault::BadAnswer;
    return diags.error(escape::terminal(tensor), "bad answer of device " + entry.name + ": " + what, remedy, faultCause(fault));
  };
  Diagnostics reading;
  FailureOr<NamedTensors> tensors = readTensorFile(file, config.maxAnswerBytes, reading);
  if (failed(tensors)) {
    const Problem &first = reading.errors().front();
    // The file's name here is ours and of no interest; what follows it is the tensor.
    StringRef where = first.where;
    where.consume_front(file);
    where.consume_front(": ");
    return lie(where.empty() ? "device " + entry.name : where.str(), first.what);
  }
  const json::Value *told = result.find("tensors");
  if (!told || !told->isObject())
    return lie("device " + entry.name, "no list of tensors");
  for (const auto &[name, tensor] : *tensors) {
    auto declared = llvm::find_if(model.outputs, [&, &name = name](const TensorSpec &spec) { return spec.name == name; });
    if (declared == model.outputs.end())
      return lie(name, "a tensor that nobody asked for");
    const json::Value *summary = told->find(name);
    TensorSpec spec;
    std::string what = summary ? readSpec(*summary, spec) : "is not in the answer's own list";
    if (!what.empty())
      return lie(name, "the tensor " + what);
    if (spec.type != tensor.type || spec.shape != tensor.shape)
      return lie(name, "told as " + dtypeName(spec.type) + " " + shapeText(spec.shape) + ", sent as " + dtypeName(tensor.type) +
                           " " + shapeText(tensor.shape));
    if (tensor.type != declared->type || !fits(tensor.shape, declared->shape))
      return lie(name, "the model declares " + dtypeName(declared->type) + " " + shapeText(declared->shape) + ", the answer is " +
                           dtypeName(tensor.type) + " " + shapeText(tensor.shape));
  }
  for (const TensorSpec &spec : model.outputs)
    if (!tensors->count(spec.name))
      return lie(spec.name, "the tensor is missing");
  return tensors;
}

} // namespace flagrelease
