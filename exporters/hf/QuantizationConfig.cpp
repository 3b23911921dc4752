#include "exporters/hf/QuantizationConfig.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;

namespace {
json::Value null() { return json::Value(); }

/// Linear layers that are stored as plain numbers. The head is one of them whatever its weight is called: with tied embeddings it
/// has no tensor of its own, and consumers know it as lm_head.
json::Array keptLayers(const Scheme &scheme, mlir::ModuleOp module) {
  std::vector<std::string> names;
  if (llvm::is_contained(scheme.skip, "output"))
    names.push_back("lm_head");
  if (auto kept = module->getAttrOfType<mlir::DictionaryAttr>("fr.kept"))
    for (mlir::NamedAttribute entry : kept) {
      StringRef reason = mlir::cast<mlir::StringAttr>(entry.getValue()).getValue(), name = entry.getName();
      if (reason != "a table that is looked up" && name.consume_back(".weight") && !llvm::is_contained(names, name.str()))
        names.push_back(name.str());
    }
  json::Array list;
  for (const std::string &name : names)
    list.emplace_back(name);
  return list;
}

json::Object arguments(StringRef type, int64_t bits, bool symmetric, StringRef strategy, bool dynamic) {
  json::Object out;
  out.set("num_bits", bits);
  out.set("type", type.str());
  out.set("symmetric", symmetric);
  out.set("strategy", strategy.str());
  out.set("dynamic", dynamic);
  out.set("group_size", null());
  out.set("block_structure", null());
  out.set("actorder", null());
  out.set("observer", dynamic ? null() : json::Value("minmax"));
  out.set("observer_kwargs", json::Object());
  return out;
}
} // namespace

json::Value flagrelease::hfQuantizationConfig(const Scheme &scheme, mlir::ModuleOp module) {
  const WeightNumbers &numbers = *scheme.weights;
  const bool fp8 = numbers.kind == WeightNumbers::Kind::Fp8;
  json::Object config;
  if (fp8 && numbers.rows > 1) {
    json::Array block;
    block.emplace_back(numbers.rows);
    block.emplace_back(numbers.columns);
    config.set("activation_scheme", "dynamic");
    config.set("fmt", "e4m3");
    config.set("quant_method", "fp8");
    config.set("weight_block_size", block);
    config.set("modules_to_not_convert", keptLayers(scheme, module));
    return json::Value(config);
  }
  const StringRef type = fp8 ? "float" : "int";
  json::Object weights = arguments(type, fp8 ? 8 : numbers.bits, fp8 || numbers.symmetric,
                                   numbers.columns     ? "group"
                                   : numbers.rows == 0 ? "tensor"
                                                       : "channel",
                                   /*dynamic=*/false);
  if (numbers.columns)
    weights.set("group_size", numbers.columns);
  json::Object group;
  group.set("weights", weights);
  group.set("input_activations", scheme.activationBits
                                     ? json::Value(arguments(type, scheme.activationBits, true, "token", /*dynamic=*/true))
                                     : null());
  group.set("output_activations", null());
  json::Array targets;
  targets.emplace_back("Linear");
  group.set("targets", targets);
  json::Object groups;
  groups.set("group_0", group);
  config.set("config_groups", groups);
  const char *format = fp8 ? "float-quantized" : numbers.bits == 8 && scheme.activationBits ? "int-quantized" : "pack-quantized";
  config.set("format", format);
  config.set("global_compression_ratio", null());
  config.set("ignore", keptLayers(scheme, module));
  config.set("kv_cache_scheme", null());
  config.set("quant_method", "compressed-tensors");
  config.set("quantization_status", "compressed");
  return json::Value(config);
}
