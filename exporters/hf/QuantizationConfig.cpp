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

/// https://github.com/ModelCloud/GPTQModel: QuantizeConfig. `dynamic` is a list of rules by regular expression; "-:" leaves a
/// layer alone.
json::Value gptqConfig(const WeightNumbers &numbers, const json::Array &kept) {
  json::Object config, dynamic;
  for (const json::Value &name : kept)
    if (std::string layer = name.string().str(); layer != "lm_head") {
      for (size_t at = 0; (at = layer.find('.', at)) != std::string::npos; at += 2)
        layer.insert(at, "\\");
      dynamic.set("-:^" + layer + "$", json::Object());
    }
  config.set("bits", numbers.bits);
  config.set("checkpoint_format", "gptq");
  config.set("desc_act", false);
  if (!dynamic.empty())
    config.set("dynamic", dynamic);
  config.set("group_size", numbers.columns ? numbers.columns : -1);
  config.set("lm_head", false);
  config.set("quant_method", "gptq");
  config.set("sym", true);
  return json::Value(config);
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
  const bool fp8 = numbers.kind == WeightNumbers::Kind::Fp8, mxfp4 = numbers.kind == WeightNumbers::Kind::Blocks;
  if (scheme.layout == "gptq")
    return gptqConfig(numbers, keptLayers(scheme, module));
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
  const StringRef type = fp8 || mxfp4 ? "float" : "int";
  const int64_t together = mxfp4 ? blockInfo(BlockFormat::MXFP4).elements : numbers.columns;
  json::Object weights = arguments(type,
                                   fp8     ? 8
                                   : mxfp4 ? 4
                                           : numbers.bits,
                                   fp8 || mxfp4 || numbers.symmetric,
                                   together            ? "group"
                                   : numbers.rows == 0 ? "tensor"
                                                       : "channel",
                                   /*dynamic=*/false);
  if (together)
    weights.set("group_size", together);
  if (mxfp4) // bytes of E8M0
    weights.set("scale_dtype", "torch.uint8");
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
  const char *format = mxfp4                                        ? "mxfp4-pack-quantized"
                       : fp8                                        ? "float-quantized"
                       : numbers.bits == 8 && scheme.activationBits ? "int-quantized"
                                                                    : "pack-quantized";
  // transformers alone reads this: it then makes floats of the weights while it loads. Of packed zeros, and of MXFP4 in a model
  // of another type than bf16, its way of doing that later makes errors (docs/quantization.md).
  if (mxfp4 || (!fp8 && !numbers.symmetric))
    config.set("dequantize", true);
  config.set("format", format);
  config.set("global_compression_ratio", null());
  config.set("ignore", keptLayers(scheme, module));
  config.set("kv_cache_scheme", null());
  config.set("quant_method", "compressed-tensors");
  config.set("quantization_status", "compressed");
  return json::Value(config);
}
