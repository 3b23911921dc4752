#include "tests/support/Padded.h"

#include "tests/support/TempFolder.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <cstdio>

namespace flagrelease::test {

namespace {
struct Padding {
  std::vector<int64_t> first, count; ///< by row: where its real ids begin, and how many
};

Padding paddingOf(const HostTensor &mask) {
  Padding padding;
  for (int64_t b = 0; b < mask.shape[0]; ++b) {
    const int64_t *row = mask.as<int64_t>() + b * mask.shape[1];
    padding.first.push_back(std::find(row, row + mask.shape[1], 1) - row);
    padding.count.push_back(std::count(row, row + mask.shape[1], 1));
  }
  return padding;
}

/// Columns [first, first + count) of one row of [B, S, ...].
HostTensor cut(const HostTensor &value, int64_t row, int64_t first, int64_t count) {
  int64_t width = value.elements() / (value.shape[0] * value.shape[1]);
  HostTensor part(DType::F32, {count, width});
  std::copy_n(value.as<float>() + (row * value.shape[1] + first) * width, count * width, part.as<float>());
  return part;
}

struct Comparer {
  const Golden &golden;
  std::vector<std::string> problems;
  int &compared;

  void compare(const std::string &what, const std::string &output, const HostTensor &got, const HostTensor &expected) {
    double error = nmse(got, expected), most = golden.tolerance(output);
    ++compared;
    char numbers[80];
    std::snprintf(numbers, sizeof numbers, ": nmse %.2e, at most %.2e", error, most);
    if (!(error <= most))
      problems.push_back(what + ", " + output + numbers);
  }
};
} // namespace

std::vector<std::string> comparePadded(const Golden &golden, const PaddedGolden &padded, bool lengthDependent, Text &text,
                                       int &compared) {
  Comparer comparer{golden, {}, compared};
  auto broken = [&](const std::string &what, const Diagnostics &diags) {
    comparer.problems.push_back(what + ": " + textOf(diags));
  };
  for (const PaddedGolden::Side *side : {&padded.left, &padded.right}) {
    const std::string name = side == &padded.left ? "left" : "right";
    const HostTensor &ids = side->tensors.at("input_ids");
    HostTensor mask = side->tensors.at("attention_mask");
    const int64_t batch = ids.shape[0], alone = padded.alone;
    Padding padding = paddingOf(mask);
    NamedTensors inputs = {{"input_ids", ids}, {"attention_mask", mask}, {"position_ids", side->tensors.at("position_ids")}};
    Diagnostics diags;
    FailureOr<NamedTensors> got = text.call(inputs, true, diags);
    if (llvm::failed(got)) {
      broken(name + ", prefill", diags);
      continue;
    }
    for (const auto &[output, expected] : side->tensors) {
      if (output != "logits" && !StringRef(output).starts_with("hidden."))
        continue;
      auto found = got->find(output);
      if (found == got->end())
        continue;
      for (int64_t row = 0; row < batch; ++row)
        comparer.compare(name + ", prefill, row " + std::to_string(row), output,
                         cut(found->second, row, padding.first[row], padding.count[row]),
                         cut(expected, row, padding.first[row], padding.count[row]));
      if (side->prefillIsAlone)
        comparer.compare(name + ", prefill, the lonely row", output,
                         cut(found->second, alone, padding.first[alone], padding.count[alone]),
                         cut(padded.lonely.at(output), 0, 0, padding.count[alone]));
    }

    // Decode. The batch's own tokens are fed; the lonely row's where those went wrong (windows and padding on the right).
    const HostTensor &own = side->tensors.at("decode.ids"), &lonely = padded.lonely.at("decode.ids");
    const bool ownIsRight = side->decodeIsAlone || lengthDependent;
    NamedTensors step = *got;
    for (int64_t t = 0; t < padded.steps; ++t) {
      const HostTensor &logits = step.at("logits");
      for (int64_t row = 0; row < batch; ++row) {
        int64_t column = t == 0 ? padding.first[row] + padding.count[row] - 1 : 0;
        const std::string what = name + ", decode step " + std::to_string(t) + ", row " + std::to_string(row);
        HostTensor measured = cut(logits, row, column, 1);
        if (ownIsRight)
          comparer.compare(what, "logits", measured, cut(side->tensors.at("decode.logits"), row, t, 1));
        if (row == alone && !lengthDependent)
          comparer.compare(what + " alone", "logits", measured, cut(padded.lonely.at("decode.logits"), 0, t, 1));
      }
      if (t + 1 == padded.steps)
        break;
      HostTensor next(DType::I64, {batch, 1}), positions(DType::I64, {batch, 1});
      const int64_t past = mask.shape[1];
      HostTensor wider(DType::I64, {batch, past + 1});
      for (int64_t row = 0; row < batch; ++row) {
        const bool takeLonely = row == alone && !ownIsRight;
        next.as<int64_t>()[row] = takeLonely ? lonely.as<int64_t>()[t] : own.as<int64_t>()[row * own.shape[1] + t];
        positions.as<int64_t>()[row] = padding.count[row] + t;
        std::copy_n(mask.as<int64_t>() + row * past, past, wider.as<int64_t>() + row * (past + 1));
        wider.as<int64_t>()[row * (past + 1) + past] = 1;
      }
      mask = wider;
      FailureOr<NamedTensors> answer =
          text.call({{"input_ids", next}, {"attention_mask", mask}, {"position_ids", positions}}, false, diags);
      if (llvm::failed(answer)) {
        broken(name + ", decode step " + std::to_string(t + 1), diags);
        break;
      }
      step = std::move(*answer);
    }
  }
  return comparer.problems;
}

} // namespace flagrelease::test
