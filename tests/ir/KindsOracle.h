// The functions of tests/exporters/Inputs/kinds.mlir with inputs, and outputs that torch computed
// (tests/ir/kinds/make_oracle.py).
#pragma once

#include "ir/HostTensor.h"
#include "text/Json.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <sstream>

namespace flagrelease::test {

struct OracleCase {
  std::string function;
  NamedTensors inputs;   ///< f32 and i64
  NamedTensors expected; ///< f64 and i64
};

inline std::string kindsModule() {
  std::ifstream in(FLAGRELEASE_SOURCE_DIR "/tests/exporters/Inputs/kinds.mlir");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline HostTensor oracleTensor(const json::Value &entry, DType real) {
  std::vector<int64_t> shape;
  for (const json::Value &size : entry.find("shape")->array())
    shape.push_back(size.integer());
  if (const json::Value *ints = entry.find("ints")) {
    std::vector<int64_t> values;
    for (const json::Value &value : ints->array())
      values.push_back(value.integer());
    return HostTensor::ofInts(shape, values);
  }
  HostTensor tensor(real, shape);
  const json::Array &values = entry.find("values")->array();
  REQUIRE(static_cast<int64_t>(values.size()) == tensor.elements());
  for (int64_t i = 0; i < tensor.elements(); ++i)
    if (real == DType::F64)
      tensor.as<double>()[i] = values[i].number();
    else
      tensor.as<float>()[i] = static_cast<float>(values[i].number());
  return tensor;
}

inline std::vector<OracleCase> oracleCases() {
  Diagnostics diags;
  FailureOr<json::Value> root = json::parseFile(FLAGRELEASE_SOURCE_DIR "/tests/ir/kinds/oracle.json", diags);
  REQUIRE(succeeded(root));
  std::vector<OracleCase> cases;
  for (const auto &[name, entry] : root->find("cases")->object()) {
    OracleCase oracle{name, {}, {}};
    for (const auto &[input, tensor] : entry.find("inputs")->object())
      oracle.inputs[input] = oracleTensor(tensor, DType::F32);
    for (const auto &[output, tensor] : entry.find("outputs")->object())
      oracle.expected[output] = oracleTensor(tensor, DType::F64);
    cases.push_back(std::move(oracle));
  }
  return cases;
}

/// Every output is there, has the oracle's shape, and differs from it by `tolerance` at most, relative to 1 for numbers below it.
inline void checkAgainst(const OracleCase &oracle, const NamedTensors &got, double tolerance) {
  CHECK(got.size() == oracle.expected.size());
  for (const auto &[output, expected] : oracle.expected) {
    INFO("@" << oracle.function << " " << output);
    REQUIRE(got.count(output) == 1);
    const HostTensor &tensor = got.at(output);
    REQUIRE(tensor.shape == expected.shape);
    double worst = 0;
    for (int64_t i = 0; i < expected.elements(); ++i) {
      double difference = std::abs(expected.at(i) - tensor.at(i)) / std::max(1.0, std::abs(expected.at(i)));
      worst = std::max(worst, std::isnan(difference) ? 1e30 : difference);
    }
    CHECK(worst <= (expected.type == DType::I64 ? 0 : tolerance));
  }
}

} // namespace flagrelease::test
