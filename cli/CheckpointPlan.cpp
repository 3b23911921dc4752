// What `plan` says of a checkpoint format: the engine owns the graph, so operators are not checked.
#include "cli/Planning.h"
#include "text/Nearest.h"
#include "text/Sizes.h"

using namespace flagrelease;

std::string flagrelease::layoutOf(const json::Object &config) {
  const json::Value *quantization = config.find("quantization_config");
  const json::Value *method = quantization ? quantization->find("quant_method") : nullptr;
  if (!method || !method->isString())
    return "";
  // One scale for a tensor has another name and meaning there than one per block.
  if (method->string() == "fp8" && !quantization->find("weight_block_size"))
    return "fp8-tensor";
  if (method->string() != "compressed-tensors")
    return method->string().str();
  // compressed-tensors is many layouts: named by the bits of the first group's weights and activations.
  auto bitsOf = [](const json::Value *arguments) -> int64_t {
    const json::Value *bits = arguments ? arguments->find("num_bits") : nullptr;
    return bits && bits->isInt() ? bits->integer() : 16;
  };
  auto isFloat = [](const json::Value *arguments) {
    const json::Value *type = arguments ? arguments->find("type") : nullptr;
    return type && type->isString() && type->string() == "float";
  };
  const json::Value *groups = quantization->find("config_groups");
  if (!groups || !groups->isObject() || groups->object().empty())
    return method->string().str();
  const json::Value &group = groups->object().begin()->value;
  const json::Value *weights = group.find("weights"), *activations = group.find("input_activations");
  int64_t bits = bitsOf(weights);
  // FP4 comes in two formats, whose scales differ.
  if (const json::Value *format = quantization->find("format"); format && format->isString())
    for (const char *name : {"mxfp4", "nvfp4"})
      if (StringRef(format->string()).starts_with(name))
        return std::string("compressed-tensors-") + name;
  if (isFloat(weights))
    return "compressed-tensors-fp" + std::to_string(bits);
  return "compressed-tensors-w" + std::to_string(bits) + "a" + std::to_string(bitsOf(activations));
}

void flagrelease::judgeMemory(MigrationPlan &plan) {
  double room = plan.chip->memoryGib().value_or(0) * 1073741824.0;
  uint64_t need = plan.weightBytes + plan.cacheBytes + plan.activationBytes;
  if (room > 0 && static_cast<double>(plan.weightBytes) > room) {
    plan.verdict = PlanVerdict::Infeasible;
    plan.reasons.push_back("weights need " + humanBytes(plan.weightBytes) + ", one chip has " +
                           humanBytes(static_cast<uint64_t>(room)));
  } else if (room > 0 && static_cast<double>(need) > room) {
    plan.verdict = PlanVerdict::Infeasible;
    plan.reasons.push_back("weights, cache and activations need about " + humanBytes(need) + " at context " +
                           std::to_string(plan.context) + " and batch " + std::to_string(plan.batch) + ", one chip has " +
                           humanBytes(static_cast<uint64_t>(room)));
  }
}

void flagrelease::judgeCheckpoint(const Model &model, bool strict, MigrationPlan &plan) {
  judgeMemory(plan);
  const std::vector<std::string> &known = plan.toolchain->architectures;
  if (plan.verdict == PlanVerdict::Infeasible || llvm::is_contained(known, model.imported.architecture))
    return;
  // The list is what was read or run, not all that the engine has.
  plan.verdict = strict ? PlanVerdict::Infeasible : PlanVerdict::Likely;
  plan.reasons.push_back("whether " + plan.toolchain->engine + " knows " + model.imported.architecture + " is not recorded" +
                         (known.empty() ? "" : ": recorded are " + listed(known)));
}
