#include "devices/reference/ReferenceModel.h"

#include "devices/MadeInputs.h"

using namespace flagrelease;

LogicalResult flagrelease::defaultInputs(NamedTensors &inputs, int64_t past, Diagnostics &diags) {
  auto ids = inputs.find("input_ids");
  if (ids == inputs.end())
    return success();
  if (ids->second.type != DType::I64 || ids->second.shape.size() != 2)
    return diags.error("input_ids", "has dtype " + dtypeName(ids->second.type) + " and rank " + Twine(ids->second.shape.size()),
                       "give I64 [batch, sequence]");
  int64_t batch = ids->second.shape[0], tokens = ids->second.shape[1], total = past + tokens;
  if (!inputs.count("attention_mask"))
    inputs["attention_mask"] = HostTensor::ofInts({batch, total}, std::vector<int64_t>(batch * total, 1));
  if (!inputs.count("position_ids")) {
    const HostTensor &mask = inputs["attention_mask"];
    if (mask.type != DType::I64 || mask.shape != std::vector<int64_t>{batch, total})
      return diags.error("attention_mask",
                         "does not fit input_ids: " + Twine(batch) + " rows of " + Twine(total) + " columns are needed",
                         "give I64 [batch, past + sequence]");
    std::vector<int64_t> positions(batch * tokens);
    for (int64_t b = 0; b < batch; ++b) {
      int64_t count = 0, next = 0;
      for (int64_t j = 0; j < total; ++j) {
        int64_t real = mask.as<int64_t>()[b * total + j];
        count += real;
        // A pad behind real tokens counts on, as an unpadded call would number it; a real token after it takes its own place.
        next = real ? count - 1 : count ? next + 1 : 0;
        if (j >= past)
          positions[b * tokens + j - past] = next;
      }
    }
    inputs["position_ids"] = HostTensor::ofInts({batch, tokens}, positions);
  }
  return success();
}

ReferenceModel::ReferenceModel(mlir::ModuleOp module, ParamEvaluator paramEvaluator, ReferencePrecision precision)
    : module(module), evaluator(std::move(paramEvaluator)), precision(precision), narrow(module, evaluator),
      wide(module, evaluator) {}

FailureOr<std::unique_ptr<ReferenceModel>> ReferenceModel::open(mlir::ModuleOp module, const Checkpoint &checkpoint,
                                                                ReferencePrecision precision, Diagnostics &diags) {
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(checkpoint, diags);
  if (failed(sources))
    return failure();
  return std::unique_ptr<ReferenceModel>(new ReferenceModel(module, ParamEvaluator(checkpoint, std::move(*sources)), precision));
}

FailureOr<NamedTensors> ReferenceModel::run(NamedTensors inputs, const Options &options, Diagnostics &diags) {
  if (!options.keepState) {
    narrow.reset();
    wide.reset();
    seen = 0;
  }
  if (failed(defaultInputs(inputs, seen, diags)))
    return failure();
  if (auto ids = inputs.find("input_ids"); ids != inputs.end() && ids->second.shape.size() == 2)
    seen += ids->second.shape[1];
  auto main = module.lookupSymbol<mlir::func::FuncOp>(kMainFunction);
  for (unsigned i = 0; main && i < main.getNumArguments(); ++i) {
    std::string name = main.getArgAttrOfType<mlir::StringAttr>(i, kNameAttr).str();
    if (inputs.count(name))
      continue;
    if (std::optional<HostTensor> made = makeInput(name, inputs))
      inputs[name] = std::move(*made);
  }
  if (precision == ReferencePrecision::F32)
    return narrow.run(kMainFunction, inputs, {options.taps, options.stop}, diags);
  return wide.run(kMainFunction, inputs, {options.taps, options.stop}, diags);
}
