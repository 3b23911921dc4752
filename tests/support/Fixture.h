// Fixtures (tests/fixtures/FORMAT.md): writes the checkpoint that a fixture describes, and reads its reference outputs.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease::test {

/// The folder of one fixture of the repository; of all of them without a name.
std::string fixturePath(const std::string &name = "");
/// Names of all fixtures of the repository, sorted.
std::vector<std::string> fixtureNames();
/// Those of the families on which everything is tried: padding, shapes, schemes, false alarms. The others are compared with
/// transformers on the reference and on ONNX Runtime.
std::vector<std::string> coreFixtureNames();

struct MaterialiseOptions {
  /// More than one: NAME-00001-of-0000N.safetensors and NAME.safetensors.index.json, tensors in order, none of them cut.
  unsigned shards = 1;
  /// Stores every floating-point tensor of 16 bits or more in this type instead, and says so in config.json (`torch_dtype` or
  /// `dtype`). The stored value is converted: from BF16 to F32 it stays the same number, so the reference outputs stay right.
  std::optional<DType> storeAs;
  /// pytorch_model.bin instead of model.safetensors: what torch.save writes.
  bool torch = false;
};

/// Writes the checkpoint of the fixture in folder `fixture` into `folder` (made if need be): its json files, and the weights.
LogicalResult materialise(const std::string &fixture, const std::string &folder, Diagnostics &diags,
                          const MaterialiseOptions &options = {});

/// golden.json and golden.safetensors. What tests/fixtures/not_compared.txt lists is not in `inputs` and `outputs`.
struct Golden {
  std::string source, architecture, task; ///< task: "text-generation", "feature-extraction", … as on the hub
  std::vector<std::string> inputs, outputs;
  NamedTensors tensors;                ///< inputs and outputs by name
  std::map<std::string, double> noise; ///< max|float32 - float64| / max|float64|, by output
  std::vector<int64_t> greedy;         ///< ids that follow row 0; empty where the task has none
  double minMargin = 0;                ///< the smallest difference of the two largest logits along `greedy`
  /// Of models that take more than text: the text of `raw_text_ids` alone, with the other inputs of the first run, and
  /// `text_logits` as its logits. Empty where there is none.
  NamedTensors textInputs;

  /// The largest NMSE at which an output counts as equal: max(1e-12, (10 * noise)^2).
  double tolerance(const std::string &output) const;
};
FailureOr<Golden> readGolden(const std::string &fixture, Diagnostics &diags);

/// The tap of an output of golden.json ("hidden.3"), or the output itself.
std::string tensorOf(const std::string &output, const std::vector<std::pair<std::string, std::string>> &hidden);

/// `value` [B,S,H] with zeros where attention_mask [B,S] of `inputs` is 0: which keys a pad sees is nobody's business. Values
/// without a column for each id stay as they are.
HostTensor withoutPads(HostTensor value, const NamedTensors &inputs);

/// golden-padded.json with its three files: a batch of rows of different lengths, padded, and one of them alone.
struct PaddedGolden {
  struct Side {
    NamedTensors tensors; ///< input_ids, attention_mask, position_ids [B,S]; logits, hidden.N; decode.ids [B,T], decode.logits
    bool prefillIsAlone = false; ///< the padded row has the outputs of the lonely one
    bool decodeIsAlone = false;
  };
  std::vector<int64_t> rows; ///< real ids of each row
  int64_t alone = 0;         ///< which of the rows the lonely run has
  int64_t steps = 0;         ///< T
  NamedTensors lonely;       ///< input_ids [1,n] and the same outputs
  Side left, right;          ///< by where the padding is
};
bool hasPaddedGolden(const std::string &fixture);
FailureOr<PaddedGolden> readPaddedGolden(const std::string &fixture, Diagnostics &diags);

/// sum (got - expected)^2 / sum expected^2, in double. Infinite when shapes differ or `got` holds a NaN.
double nmse(const HostTensor &got, const HostTensor &expected);

} // namespace flagrelease::test
