#include "validators/Golden.h"

#include "devices/MadeInputs.h"
#include "devices/TensorFile.h"
#include "text/Json.h"
#include "validators/NumbersParts.h"
#include "weights/Digest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

namespace flagrelease {

bool GoldenResult::passed() const {
  return anomalies.empty() && llvm::all_of(comparisons, [](const GoldenComparison &one) { return one.inside; });
}

namespace {
std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// Rows of real positions, where the tensor has a column for each id of a padded batch; else all.
RowSelection realRows(const HostTensor &tensor, const HostTensor *mask) {
  RowSelection rows;
  const int64_t count = rowCount(tensor);
  const bool columns = mask && mask->shape.size() == 2 && tensor.shape.size() >= 3 && tensor.shape[0] == mask->shape[0] &&
                       tensor.shape[1] == mask->shape[1];
  const int64_t perColumn = columns ? count / std::max<int64_t>(mask->elements(), 1) : 1;
  for (int64_t row = 0; row < count; ++row)
    if (!columns || mask->at(row / perColumn) != 0)
      rows.push_back(row);
  return rows;
}

class Comparer {
public:
  Comparer(const GoldenRequest &request, Diagnostics &diags) : request(request), diags(diags) {}

  FailureOr<GoldenResult> run() {
    std::map<std::string, std::string> metadata;
    FailureOr<NamedTensors> file = readTensorFile(request.path, request.maxBytes, diags, &metadata);
    if (failed(file))
      return failure();
    FailureOr<std::string> digest = sha256File(request.path, diags);
    if (failed(digest))
      return failure();
    result.digest = *digest;
    tolerance = request.gate.tolerance(Tier::T1, request.compute, request.scheme);
    if (failed(readNoise(metadata)))
      return failure();

    NamedTensors inputs;
    for (const std::string &name : request.inputNames) {
      auto it = file->find(name);
      if (it != file->end())
        inputs[name] = it->second;
      else if (!isMadeInput(name))
        return diags.error(request.path, "has no tensor " + Twine(name) + ", which is an input of the model",
                           "write the file with tools/golden.py, or with `flagrelease run --out`");
    }
    std::vector<Wanted> wanted = choose(*file, inputs);
    if (wanted.empty())
      return diags.error(request.path, "holds nothing that can be compared: no output of the model, no tap, no hidden.N",
                         notCompared());
    const bool taps = llvm::any_of(wanted, [](const Wanted &one) { return one.tap; });
    FailureOr<NamedTensors> got = request.run(inputs, taps, diags);
    if (failed(got))
      return failure();
    const auto mask = inputs.find("attention_mask");
    for (const Wanted &one : wanted)
      if (failed(compare(one, file->at(one.name), *got, mask == inputs.end() ? nullptr : &mask->second)))
        return failure();
    if (result.comparisons.empty())
      return diags.error(request.path, "holds nothing that this device returns", notCompared());
    for (const GoldenComparison &one : result.comparisons)
      if (!one.inside && !result.firstDivergence)
        result.firstDivergence =
            Divergence{one.as, std::nullopt, std::isfinite(one.distance.nmse) ? std::optional(one.distance.nmse) : std::nullopt,
                       "golden", "prefill"};
    return std::move(result);
  }

private:
  struct Wanted {
    std::string name, as;
    bool tap = false;
    size_t order = 0;
  };

  std::string notCompared() const {
    std::string text = "not compared:";
    for (const NotRun &one : llvm::ArrayRef(result.notCompared).take_front(8))
      text += " " + one.check + " (" + one.reason + ");";
    return text + " outputs of the model: " + llvm::join(request.outputNames, ", ");
  }

  /// {"logits": 5.5e-07, ...}; a file of somebody else may have no such entry.
  LogicalResult readNoise(const std::map<std::string, std::string> &metadata) {
    auto it = metadata.find("noise");
    if (it == metadata.end())
      return success();
    FailureOr<json::Value> value = json::parse(it->second, request.path + ": __metadata__.noise", diags);
    if (failed(value))
      return failure();
    if (!value->isObject())
      return diags.error(request.path + ": __metadata__.noise",
                         "is a " + Twine(value->kindName()) + ", not a mapping from outputs to numbers");
    for (const json::Member &member : value->object()) {
      std::optional<double> one = member.value.asNumber();
      // A file that says 1 would excuse everything.
      if (!one || !(*one >= 0) || *one > 1e-3)
        return diags.error(request.path + ": __metadata__.noise." + member.key, "is not a number from 0 to 0.001",
                           "the noise of float32 arithmetic is far below; leave it out to be judged by the gate");
      noise[member.key] = *one;
    }
    return success();
  }

  std::vector<Wanted> choose(const NamedTensors &file, const NamedTensors &inputs) {
    std::vector<Wanted> wanted;
    for (const auto &[name, tensor] : file) {
      if (inputs.count(name))
        continue;
      Wanted one{name, name};
      if (auto it = llvm::find(request.outputNames, name); it != request.outputNames.end()) {
        one.order = request.tapOrder.size() + static_cast<size_t>(it - request.outputNames.begin());
      } else if (auto state = llvm::find_if(request.hidden, [&](const auto &each) { return each.first == name; });
                 state != request.hidden.end()) {
        one.as = state->second;
        one.tap = true;
      } else {
        one.tap = true;
      }
      if (one.tap) {
        auto it = llvm::find(request.tapOrder, one.as);
        if (it == request.tapOrder.end()) {
          std::string last = request.hidden.empty() ? "" : ", which has hidden states up to " + request.hidden.back().first;
          result.notCompared.push_back({name, "neither an output of the model nor a tap" + last});
          continue;
        }
        one.order = static_cast<size_t>(it - request.tapOrder.begin());
      }
      wanted.push_back(std::move(one));
    }
    llvm::sort(wanted, [](const Wanted &a, const Wanted &b) { return std::tie(a.order, a.name) < std::tie(b.order, b.name); });
    return wanted;
  }

  LogicalResult compare(const Wanted &one, const HostTensor &expected, const NamedTensors &outputs, const HostTensor *mask) {
    auto it = outputs.find(one.as);
    if (it == outputs.end()) {
      result.notCompared.push_back({one.name, "this device does not return " + one.as});
      return success();
    }
    const HostTensor &got = it->second;
    GoldenComparison comparison;
    comparison.name = one.name;
    comparison.as = one.as;
    Tolerance bound;
    const bool exact = request.compute == NumberFormat::FP32 && (request.scheme == "source" || request.scheme == "fp32");
    if (auto own = noise.find(one.name); own != noise.end() && exact) {
      const double ten = 10 * own->second;
      bound.nmse = std::max(1e-12, ten * ten);
      bound.from = "noise " + number(own->second) + " stated by the file: max(1e-12, (10 * noise)^2)";
    } else if (tolerance) {
      bound = *tolerance;
    } else {
      return diags.error(request.gate.name,
                         "the gate has no tolerance for computing in " + numberFormatName(request.compute) + " with scheme " +
                             request.scheme,
                         "add one to the gate, or take another with --gate");
    }
    comparison.boundFrom = bound.from;
    comparison.nmseBound = bound.nmse.value_or(0);
    if (got.shape != expected.shape) {
      auto words = [](const HostTensor &tensor) {
        std::string text;
        for (int64_t size : tensor.shape)
          text += (text.empty() ? "" : ", ") + std::to_string(size);
        return "[" + text + "]";
      };
      comparison.exceeded = "has shape " + words(got) + ", the file's is " + words(expected);
    } else {
      DistanceOptions options;
      options.distribution = one.as == "logits" && got.shape.size() == 3;
      options.constant = {request.gate.anomalies.constantSpread, request.gate.anomalies.referenceSpread};
      const RowSelection rows = realRows(expected, mask);
      DistanceGroup group(options);
      group.add(got, rows, expected, rows);
      comparison.distance = group.finish();
      comparison.exceeded = numbers::exceededBounds(comparison.distance, bound, /*nmseOnly=*/one.tap);
      if (comparison.distance.notFinite > 0 && request.gate.anomalies.nonFinite)
        result.anomalies.push_back(
            {"not-finite", one.as,
             std::to_string(comparison.distance.notFinite) + " NaN or infinite numbers where the file has numbers"});
      if (comparison.distance.constantRows > 0)
        result.anomalies.push_back({"constant", one.as,
                                    std::to_string(comparison.distance.constantRows) + " of " +
                                        std::to_string(comparison.distance.rows) +
                                        " rows have one value everywhere, the file's do not"});
    }
    comparison.inside = comparison.exceeded.empty();
    result.comparisons.push_back(std::move(comparison));
    return success();
  }

  const GoldenRequest &request;
  Diagnostics &diags;
  const Tolerance *tolerance = nullptr;
  std::map<std::string, double> noise;
  GoldenResult result;
};
} // namespace

FailureOr<GoldenResult> checkGolden(const GoldenRequest &request, Diagnostics &diags) { return Comparer(request, diags).run(); }

} // namespace flagrelease
