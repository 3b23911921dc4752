// Numbers of eight and four bits against ml_dtypes: every code, every midpoint with the floats beside it, random bit patterns.
#include "ir/DType.h"
#include "tests/support/CodecOracle.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
struct Kind {
  const char *name;
  float (*widen)(uint8_t);
  uint8_t (*narrow)(float);
};
constexpr Kind kKinds[] = {{"e4m3", f8e4m3ToF32, f32ToF8E4m3},
                           {"e5m2", f8e5m2ToF32, f32ToF8E5m2},
                           {"e8m0", f8e8m0ToF32, f32ToF8E8m0},
                           {"e2m1", e2m1ToF32, f32ToE2m1}};
} // namespace

TEST_CASE("small floats are those of ml_dtypes in both directions") {
  const HostTensor &input = codecOracle().tensor("narrow/input");
  CHECK(input.elements() > 5000);
  for (const Kind &kind : kKinds) {
    const HostTensor &wide = codecOracle().tensor(std::string("widen/") + kind.name);
    for (int64_t code = 0; code < wide.elements(); ++code) {
      float expected = wide.as<float>()[code], got = kind.widen(static_cast<uint8_t>(code));
      bool same = std::isnan(expected) ? std::isnan(got) : std::bit_cast<uint32_t>(expected) == std::bit_cast<uint32_t>(got);
      if (!same)
        FAIL(kind.name << ", code " << code << ": " << got << " instead of " << expected);
    }
    const HostTensor &narrow = codecOracle().tensor(std::string("narrow/") + kind.name);
    for (int64_t i = 0; i < input.elements(); ++i) {
      float value = input.as<float>()[i];
      if (int got = kind.narrow(value), expected = narrow.as<uint8_t>()[i]; got != expected)
        FAIL(kind.name << ", from " << std::hexfloat << value << ": " << got << " instead of " << expected);
    }
  }
}
