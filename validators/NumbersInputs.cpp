// Models that do not take text alone: every input gets seeded numbers, the same on the reference and on the device.
#include "devices/MadeInputs.h"
#include "validators/NumbersParts.h"
#include "validators/Verdict.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cmath>

namespace flagrelease::numbers {

namespace {
/// splitmix64 (Steele, Lea, Flood 2014), as in Cases.h.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; } ///< [0, 1)
};

uint64_t fnv1a64(StringRef text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (unsigned char c : text.bytes())
    hash = (hash ^ c) * 0x100000001B3u;
  return hash;
}

/// Sizes that nobody names: small, and no two alike where one could pass for the other.
constexpr int64_t kText = 12, kOther = 8;

struct Case {
  std::string name;
  DimExpr::Bindings sizes;
  NamedTensors inputs;
};

/// Values of one input; the type is the model's own.
FailureOr<HostTensor> valuesOf(const NumbersRequest &request, const ModelInput &input, const Case &one, Diagnostics &diags) {
  std::vector<int64_t> shape;
  int64_t count = 1;
  for (const DimExpr &dim : input.dims) {
    std::optional<int64_t> size = dim.evaluate(one.sizes);
    if (!size || *size < 0)
      return diags.error(input.name, "its size " + dim.str() + " is not known", "name it under `sizes:` of the recipe");
    shape.push_back(*size);
    count *= *size;
  }
  if (std::optional<HostTensor> made = makeInput(input.name, one.inputs); made && made->shape == shape && input.example.empty())
    return *made;
  Random random{fnv1a64(one.name + "/" + input.name)};
  std::vector<double> values(count);
  const StringRef name = input.name;
  if (!input.example.empty()) {
    for (int64_t i = 0; i < count; ++i)
      values[i] = input.example[i % input.example.size()];
  } else if (name.ends_with("position_ids")) {
    for (int64_t i = 0; i < count; ++i)
      values[i] = static_cast<double>(shape.empty() || shape.back() == 0 ? 0 : i % shape.back());
  } else if (name.ends_with("attention_mask") || name.ends_with("pixel_mask")) {
    std::fill(values.begin(), values.end(), 1.0);
  } else {
    double low = -1.7, high = 1.7; // standard deviation 1
    if (!input.range.empty())
      low = input.range[0], high = input.range[1];
    else if (input.type == DType::Bool)
      low = 0, high = 1;
    else if (!isFloat(input.type))
      low = 0, high = name.ends_with("ids") && request.vocabulary > 0 ? static_cast<double>(request.vocabulary - 1) : 1;
    for (double &value : values)
      value = isFloat(input.type) ? low + (high - low) * random.unit() : std::floor(low + (high - low + 1) * random.unit());
  }
  if (isFloat(input.type)) {
    HostTensor tensor(DType::F32, shape);
    for (int64_t i = 0; i < count; ++i)
      tensor.as<float>()[i] = static_cast<float>(values[i]);
    return tensor;
  }
  std::vector<int64_t> ints(values.begin(), values.end());
  return HostTensor::ofInts(shape, ints);
}

/// As the artefact declares them.
FailureOr<NamedTensors> asDeclared(const LoadedModel &model, const NamedTensors &inputs, Diagnostics &diags) {
  NamedTensors out;
  for (const TensorSpec &spec : model.inputs) {
    auto it = inputs.find(spec.name);
    if (it == inputs.end())
      return diags.error(spec.name, "input of the artefact: the model has no such input", "compare it with --golden FILE",
                         Cause::Answer);
    HostTensor tensor = it->second;
    if (spec.type != tensor.type) {
      HostTensor cast(spec.type, tensor.shape);
      for (int64_t i = 0; i < tensor.elements(); ++i) {
        const double value = tensor.at(i);
        switch (spec.type) {
        case DType::I32:
          cast.as<int32_t>()[i] = static_cast<int32_t>(value);
          break;
        case DType::I64:
          cast.as<int64_t>()[i] = static_cast<int64_t>(value);
          break;
        case DType::Bool:
          cast.as<uint8_t>()[i] = value != 0;
          break;
        default:
          return diags.error(spec.name, "input of the artefact: " + dtypeName(spec.type) + " is not what the model takes",
                             "compare it with --golden FILE", Cause::Answer);
        }
      }
      tensor = std::move(cast);
    }
    out[spec.name] = std::move(tensor);
  }
  return out;
}

std::string shapeText(const HostTensor &tensor) {
  std::string text = "[";
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

Comparison compareWhole(const NumbersRequest &request, const NumbersResult &result, const Case &one, const std::string &output,
                        const NamedTensors &got, const NamedTensors &ref) {
  Comparison comparison{one.name, "prefill", output, {}, true, true, std::nullopt, ""};
  auto x = got.find(output), y = ref.find(output);
  if (x == got.end() || y == ref.end()) {
    comparison.exceeded = x == got.end() ? "is not among the device's outputs" : "is not among the reference's outputs";
  } else if (x->second.shape != y->second.shape) {
    comparison.exceeded = "has shape " + shapeText(x->second) + ", the reference's is " + shapeText(y->second);
  } else if (y->second.elements() > 0) {
    comparison.distance = distance(x->second, y->second, optionsFor(request, output));
    if (result.tolerance) {
      const Tolerance own = toleranceFor(request, *result.tolerance, rowWidth(y->second));
      comparison.nmseBound = own.nmse;
      comparison.exceeded = exceededBounds(comparison.distance, own, /*nmseOnly=*/false);
    } else {
      comparison.judged = false;
    }
  }
  comparison.inside = comparison.exceeded.empty();
  return comparison;
}
} // namespace

LogicalResult checkInputs(const NumbersRequest &request, const LoadedModel &model, NumbersResult &result, Diagnostics &diags) {
  std::vector<Case> cases;
  for (int64_t batch : {1, 3}) {
    Case one;
    one.name = batch == 1 ? "inputs" : "batch-inputs";
    std::set<std::string> symbols;
    for (const ModelInput &input : request.inputs)
      for (const DimExpr &dim : input.dims)
        symbols.merge(dim.symbols());
    if (batch > 1 && !symbols.count("B")) {
      result.cases.skipped.push_back({"batch-inputs", "the model takes one at a time", GateCheck::Prefill});
      break;
    }
    for (const std::string &symbol : symbols) {
      auto named = request.sizes.find(symbol);
      one.sizes[symbol] = symbol == "B" ? batch : named != request.sizes.end() ? named->second : symbol == "S" ? kText : kOther;
    }
    // An artefact of fixed shapes says itself what they are.
    for (const TensorSpec &spec : model.inputs)
      for (const ModelInput &input : request.inputs)
        if (input.name == spec.name && input.dims.size() == spec.shape.size())
          for (auto [dim, size] : llvm::zip_equal(input.dims, spec.shape))
            if (size >= 0 && dim.coefficients().size() == 1 && dim == DimExpr::symbol(dim.coefficients().begin()->first))
              one.sizes[dim.str()] = size;
    if (batch > 1 && one.sizes["B"] != batch)
      break;
    // What others follow from first: masks are made after what they mask.
    for (bool made : {false, true})
      for (const ModelInput &input : request.inputs) {
        if (isMadeInput(input.name) != made)
          continue;
        FailureOr<HostTensor> values = valuesOf(request, input, one, diags);
        if (failed(values))
          return failure();
        one.inputs[input.name] = std::move(*values);
      }
    cases.push_back(std::move(one));
  }

  const Oracle::Call call{false, false, [&] { return stopping(request); }};
  const Comparison *outside = nullptr;
  size_t failing = 0;
  for (auto [i, one] : llvm::enumerate(cases)) {
    if (stopping(request))
      return stopped(diags);
    if (request.progress)
      request.progress(one.name, i, cases.size());
    FailureOr<NamedTensors> expected = request.reference.run(one.inputs, call, diags);
    FailureOr<NamedTensors> inputs = asDeclared(model, one.inputs, diags);
    if (failed(expected) || failed(inputs))
      return failure();
    bool deterministic = true;
    Diagnostics own;
    FailureOr<NamedTensors> got =
        i == 0 ? runTwice(request.device, *inputs, deterministic, own) : request.device.run(*inputs, own);
    if (failed(got) && !deterministic) {
      result.anomalies.push_back({"nondeterministic", one.name, "the same inputs gave different bytes on a second run"});
      got = request.device.run(*inputs, own);
    }
    if (failed(got)) {
      diags.merge(own);
      return failure();
    }
    result.casesRun.push_back(one.name);
    for (const TensorSpec &output : model.outputs) {
      Comparison comparison = compareWhole(request, result, one, output.name, *got, *expected);
      if (!comparison.inside && result.tolerance && result.tolerance->noiseTimes && request.precise) {
        Diagnostics ignored; // without it the bound stands
        FailureOr<Oracle *> precise = request.precise(ignored);
        FailureOr<NamedTensors> wide =
            failed(precise) ? FailureOr<NamedTensors>(failure()) : (*precise)->run(one.inputs, call, ignored);
        if (succeeded(wide) && wide->count(output.name) && wide->at(output.name).shape == expected->at(output.name).shape) {
          const double noise = distance(expected->at(output.name), wide->at(output.name)).nmse;
          if (isNoise(*result.tolerance, comparison.distance, noise)) {
            result.notes.push_back(one.name + ", " + output.name + ": inside the model's own noise in fp32");
            comparison.nmseBound = *result.tolerance->noiseTimes * noise;
            comparison.exceeded.clear();
            comparison.inside = true;
          }
        }
      }
      const std::string where = one.name + ", prefill, " + output.name;
      if (comparison.distance.notFinite > 0 && request.gate.anomalies.nonFinite)
        result.anomalies.push_back(
            {"not-finite", where,
             std::to_string(comparison.distance.notFinite) + " NaN or infinite numbers where the reference has numbers"});
      if (!comparison.inside && !outside)
        failing = i;
      result.comparisons.push_back(std::move(comparison));
      if (!result.comparisons.back().inside && !outside)
        outside = &result.comparisons.back();
    }
  }
  // The first tap outside, of the first case and of the one that failed.
  if (request.tapModelPath.empty()) {
    result.notRun.push_back({"taps", "no model with taps as outputs was given"});
    return success();
  }
  const bool anyOutside = outside != nullptr;
  const std::string firstOutput = anyOutside ? outside->output : "";
  const Distance outputDistance = anyOutside ? outside->distance : Distance();
  Diagnostics own;
  FailureOr<LoadedModel> tapped = request.device.load(request.tapModelPath, {}, own);
  for (size_t i : anyOutside &&failing > 0 ? std::vector<size_t>{0, failing} : std::vector<size_t>{0}) {
    FailureOr<NamedTensors> expected = failure(), got = failure();
    if (succeeded(tapped)) {
      FailureOr<NamedTensors> inputs = asDeclared(*tapped, cases[i].inputs, own);
      expected = request.reference.run(cases[i].inputs, {true, false, call.stop}, own);
      if (succeeded(inputs))
        got = request.device.run(*inputs, own);
    }
    if (failed(expected) || failed(got)) {
      std::string reason;
      for (const Problem &problem : own.errors())
        reason += (reason.empty() ? "" : "; ") + problem.where + ": " + problem.what;
      result.notRun.push_back({"taps", reason});
      return success();
    }
    for (const std::string &tap : request.tapOrder) {
      if (!got->count(tap) || !expected->count(tap))
        continue;
      Comparison comparison = compareWhole(request, result, cases[i], tap, *got, *expected);
      TapDistance distance{tap, cases[i].name, "prefill", comparison.distance, comparison.inside, 0};
      if (comparison.nmseBound)
        distance.part = comparison.distance.nmse / *comparison.nmseBound;
      if (anyOutside && i == failing && !distance.inside && !result.firstDivergence)
        result.firstDivergence = Divergence{
            tap, std::nullopt, std::isfinite(distance.distance.nmse) ? std::optional(distance.distance.nmse) : std::nullopt,
            cases[i].name, "prefill"};
      result.taps.push_back(std::move(distance));
    }
  }
  if (anyOutside && !result.firstDivergence)
    result.firstDivergence = Divergence{firstOutput, std::nullopt,
                                        std::isfinite(outputDistance.nmse) ? std::optional(outputDistance.nmse) : std::nullopt,
                                        cases[failing].name, "prefill"};
  return success();
}

} // namespace flagrelease::numbers
