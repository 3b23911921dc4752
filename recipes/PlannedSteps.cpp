// Kinds and parameters that recipes use and no importer builds yet. They are checked like the others, so that a recipe can be
// written, flattened and reviewed before its blocks; `check` says what is missing. An entry leaves this table when its block
// brings its own schema.
#include "recipes/StepSchema.h"

using namespace flagrelease;
using llvm::StringRef;

namespace {

using enum ParamType;

const StringRef kNormKinds[] = {"rms", "layer"};
const ParamSchema kQkNorm[] = {
    {"kind", Enum, true, kNormKinds},
    {"q", Tensor, true},
    {"k", Tensor},
    {"eps", Number, true},
    {"v", Bool, false, {}, {}, "values get the same norm without a weight"},
};
const ParamSchema kRope[] = {
    {"theta", Number, true},
    {"scaling", Expr},
    {"dim", Int},
    {"interleaved", Bool},
    {"when", Bool, false, {}, {}, "false: no rotation here"},
};
const ParamSchema kOther[] = {{"value", Value, true}, {"when", Bool, false, {}, {}, "false: the layer uses its own input"}};
const ParamSchema kProjections[] = {{"q", Bool}, {"k", Bool}, {"v", Bool}, {"o", Bool}};
const ParamSchema kLoraPair[] = {{"a", Tensor, true, {}, {}, "[rank, in]"}, {"b", Tensor, true, {}, {}, "[out, rank]"}};
const ParamSchema kAdapters[] = {
    {"q", Mapping, false, {}, kLoraPair}, {"k", Mapping, false, {}, kLoraPair}, {"v", Mapping, false, {}, kLoraPair}};
const ParamSchema kAttention[] = {
    {"q", Tensor, true},
    {"k", Tensor},
    {"v", Tensor},
    {"o", Tensor, true},
    {"bias", Bool, false, {}, kProjections},
    {"heads", Int, true},
    {"kv_heads", Int},
    {"head_dim", Int, true},
    {"causal", Bool},
    {"window", Int},
    {"scale", Number},
    {"softcap", Number},
    {"qk_norm", Mapping, false, {}, kQkNorm},
    {"rope", Mapping, false, {}, kRope},
    {"width", Int, false, {}, {}, "features of the result; absent: as many as the input has"},
    {"memory", Mapping, false, {}, kOther, "keys and values are projected from this value (cross attention)"},
    {"keep", Bind, false, {}, {}, "binds this layer's keys and values for other layers"},
    {"reuse", Mapping, false, {}, kOther, "takes the keys and values that another layer kept; k and v have no tensors then"},
    {"adapters", Mapping, false, {}, kAdapters, "low-rank terms added to projections"},
};

const ParamSchema kMlpAdapters[] = {{"gate", Mapping, false, {}, kLoraPair}, {"up", Mapping, false, {}, kLoraPair}};
const ParamSchema kMlp[] = {
    {"gate", Tensor},
    {"up", Tensor, true},
    {"down", Tensor, true},
    {"act", String, true},
    {"bias", Bool},
    {"width", Int},
    {"sparsity", Number, false, {}, {}, "share of gate values cut at mean + icdf(share) * std, per token; 0: none"},
    {"adapters", Mapping, false, {}, kMlpAdapters, "low-rank terms added to projections"},
};

const ParamSchema kMamba2[] = {
    {"in_proj", Tensor, true, {}, {}, "rows z | x | B | C | dt"},
    {"conv", Tensor, true, {}, {}, "depthwise, [channels, 1, kernel]"},
    {"a_log", Tensor, true},
    {"d", Tensor, true},
    {"dt_bias", Tensor, true},
    {"norm", Tensor, true, {}, {}, "gated RMS: the gate is applied first"},
    {"out_proj", Tensor, true},
    {"heads", Int, true},
    {"head_dim", Int, true},
    {"state", Int, true},
    {"groups", Int, true},
    {"kernel", Int, true},
    {"conv_bias", Bool},
    {"bias", Bool},
    {"eps", Number, true},
    {"dt_limit", Expr, false, {}, {}, "list of least and largest step, or null"},
    {"dt_floor", Number},
};

const ParamSchema kAltupPredict[] = {
    {"router_norm", Tensor, true}, {"router", Tensor, true}, {"coefs", Tensor, true}, {"active", Int, true},
    {"streams", Int, true},        {"clip", Number},         {"eps", Number, true},
};
const ParamSchema kAltupCorrect[] = {
    {"router_norm", Tensor, true}, {"router", Tensor, true},     {"coefs", Tensor, true},
    {"active", Int, true},         {"streams", Int, true},       {"clip", Number},
    {"eps", Number, true},         {"predictions", Value, true}, {"innovation", Value, true},
};

const ParamSchema kAxis[] = {{"axis", Int, true}};
const ParamSchema kTimestep[] = {
    {"width", Int, true},
    {"flip", Bool, true, {}, {}, "cosines first"},
    {"shift", Number, true},
};
const ParamSchema kResnet[] = {
    {"channels", Int, true, {}, {}, "of the result"},
    {"groups", Int, true},
    {"eps", Number, true},
    {"act", String, true},
    {"time", Value, true, {}, {}, "embedding added between the convolutions"},
    {"scale", Number},
};
const ParamSchema kGeglu[] = {
    {"proj", Tensor, true, {}, {}, "[2 * width, in]: value rows first"}, {"down", Tensor, true}, {"width", Int, true}};

} // namespace

llvm::ArrayRef<StepSchema> flagrelease::plannedSteps() {
  static const StepSchema kPlanned[] = {
      {"altup_correct", kAltupCorrect, false,
       "corrects predicted streams by what the active one became (AltUp, arXiv 2301.13310)"},
      {"altup_predict", kAltupPredict, false, "predicts all streams from all streams"},
      {"attention", kAttention, false, "softmax(scale q k^T + mask) v"},
      {"geglu", kGeglu, false, "value * gelu(gate), projected back"},
      {"mamba2", kMamba2, false, "selective state space layer (Mamba-2, arXiv 2405.21060)"},
      {"mlp", kMlp, false, "feed-forward block"},
      {"mean", kAxis, false, "mean over an axis"},
      {"resnet", kResnet, false, "two convolutions with group norms, a time embedding and a shortcut"},
      {"timestep", kTimestep, false, "sinusoidal embedding of a time step"},
  };
  return kPlanned;
}
