// Conversions against the compiler's own _Float16 and __bf16 and against values of the OCP specifications.
#include "ir/DType.h"
#include "ir/HostTensor.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <random>

using namespace flagrelease;

TEST_CASE("every half widens to the value the compiler gives it") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float expected = static_cast<float>(std::bit_cast<_Float16>(static_cast<uint16_t>(bits)));
    float actual = f16ToF32(static_cast<uint16_t>(bits));
    if (std::bit_cast<uint32_t>(expected) != std::bit_cast<uint32_t>(actual))
      FAIL("half " << bits << ": " << actual << " instead of " << expected);
  }
}

TEST_CASE("narrowing rounds once to nearest even") {
  std::mt19937_64 random(7);
  auto check = [](double value) {
    float single = static_cast<float>(value);
    uint16_t half = std::bit_cast<uint16_t>(static_cast<_Float16>(single)),
             direct = std::bit_cast<uint16_t>(static_cast<_Float16>(value));
    if (f32ToF16(single) != half || f64ToF16(value) != direct)
      FAIL("to half: " << std::hexfloat << value << ": " << f32ToF16(single) << "/" << half << ", " << f64ToF16(value) << "/"
                       << direct);
    // bf16 is the upper half of a float: the nearest multiple of 2^16 in the bit pattern, found by comparing distances.
    double magnitude = std::fabs(value);
    uint32_t below = std::bit_cast<uint32_t>(static_cast<float>(magnitude)) >> 16;
    while (below && static_cast<double>(bf16ToF32(static_cast<uint16_t>(below))) > magnitude)
      --below;
    double low = bf16ToF32(static_cast<uint16_t>(below));
    double high = below + 1 == 0x7f80 ? 0x1p128 : static_cast<double>(bf16ToF32(static_cast<uint16_t>(below + 1)));
    uint32_t nearest =
        magnitude - low < high - magnitude || (magnitude - low == high - magnitude && below % 2 == 0) ? below : below + 1;
    if (below >= 0x7f80)
      nearest = 0x7f80;
    nearest |= std::signbit(value) ? 0x8000 : 0;
    if (f64ToBf16(value) != nearest)
      FAIL("to bf16: " << std::hexfloat << value << ": " << f64ToBf16(value) << " instead of " << nearest);
    if (static_cast<double>(single) == value && f32ToBf16(single) != nearest)
      FAIL("float to bf16: " << std::hexfloat << value);
  };
  for (double edge : {0.0,           -0.0,
                      65504.0,       65519.996,
                      65520.0,       0x1p-24,
                      0x1p-25,       0x1.0000001p-25,
                      0x1.8p-25,     0x1p-14,
                      0x1.ffcp-15,   1.0,
                      1e300,         -1e300,
                      0x1p-149,      0x1p-133,
                      0x1p-134,      0x1.000001p-134,
                      1e-320,        0x1.fep127,
                      0x1.ffp127,    0x1.fefffffp127,
                      1.00048828125, 1.000488281250001,
                      1.00390625,    1.0039062500001,
                      HUGE_VAL,      -HUGE_VAL})
    check(edge);
  for (int i = 0; i < 2'000'000; ++i) {
    uint64_t bits = random();
    float single = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!std::isnan(single))
      check(single);
    // Doubles near halves of the last place, where rounding twice goes wrong.
    double centre = bf16ToF32(static_cast<uint16_t>(bits >> 40)) + bf16ToF32(static_cast<uint16_t>(bits >> 40)) * 0x1p-9;
    if (std::isfinite(centre))
      check(std::nextafter(centre, bits & 1 ? 1e308 : -1e308));
    check(std::ldexp(static_cast<double>(bits >> 11), static_cast<int>(bits & 63) - 80));
  }
}

TEST_CASE("not-a-number stays not-a-number") {
  for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xffffffffu, 0x7f8fffffu, 0xff801fffu}) {
    float value = std::bit_cast<float>(bits);
    CHECK(std::isnan(bf16ToF32(f32ToBf16(value))));
    CHECK(std::isnan(f16ToF32(f32ToF16(value))));
    CHECK(std::signbit(bf16ToF32(f32ToBf16(value))) == std::signbit(value));
  }
  CHECK(std::isnan(bf16ToF32(f64ToBf16(NAN))));
  CHECK(std::isnan(f16ToF32(f64ToF16(NAN))));
}

TEST_CASE("eight-bit floats have the values of the OCP tables") {
  struct Row {
    uint8_t bits;
    double e4m3, e5m2;
  };
  for (Row row : {Row{0x00, 0, 0}, Row{0x01, 0x1p-9, 0x1p-16}, Row{0x07, 0x1.cp-7, 0x1.cp-14}, Row{0x08, 0x1p-6, 0x1p-13},
                  Row{0x38, 1, 0.5}, Row{0x3c, 1.5, 1}, Row{0x7e, 448, NAN}, Row{0x7f, NAN, NAN}, Row{0x7b, 352, 57344},
                  Row{0x7c, 384, HUGE_VAL}, Row{0xbc, -1.5, -1}}) {
    CAPTURE(int(row.bits));
    CHECK((std::isnan(row.e4m3) ? std::isnan(f8e4m3ToF32(row.bits)) : f8e4m3ToF32(row.bits) == row.e4m3));
    CHECK((std::isnan(row.e5m2) ? std::isnan(f8e5m2ToF32(row.bits)) : f8e5m2ToF32(row.bits) == row.e5m2));
  }
  for (int bits = 0; bits < 255; ++bits)
    CHECK(static_cast<double>(f8e8m0ToF32(static_cast<uint8_t>(bits))) == std::ldexp(1.0, bits - 127));
  CHECK(std::isnan(f8e8m0ToF32(255)));
}

TEST_CASE("names and widths are those of safetensors") {
  struct Row {
    const char *name;
    unsigned width;
    bool isFloat;
    unsigned bits = 0;
    bool hasNumbers = true;
  };
  for (Row row : {Row{"F64", 8, true},
                  Row{"F32", 4, true},
                  Row{"F16", 2, true},
                  Row{"BF16", 2, true},
                  Row{"F8_E4M3", 1, true},
                  Row{"F8_E5M2", 1, true},
                  Row{"F8_E8M0", 1, true},
                  Row{"I64", 8, false},
                  Row{"I32", 4, false},
                  Row{"I16", 2, false},
                  Row{"I8", 1, false},
                  Row{"U64", 8, false},
                  Row{"U32", 4, false},
                  Row{"U16", 2, false},
                  Row{"U8", 1, false},
                  Row{"BOOL", 1, false},
                  Row{"F8_E4M3FNUZ", 1, false, 8, false},
                  Row{"F8_E5M2FNUZ", 1, false, 8, false},
                  Row{"F6_E2M3", 1, false, 6, false},
                  Row{"F6_E3M2", 1, false, 6, false},
                  Row{"F4", 1, false, 4, false},
                  Row{"C64", 8, false, 64, false}}) {
    CAPTURE(row.name);
    auto type = parseDType(row.name);
    REQUIRE(type);
    CHECK(dtypeName(*type) == row.name);
    CHECK(byteWidth(*type) == row.width);
    CHECK(bitWidth(*type) == (row.bits ? row.bits : 8 * row.width));
    CHECK(isFloat(*type) == row.isFloat);
    CHECK(hasNumbers(*type) == row.hasNumbers);
  }
  for (const char *unknown : {"", "f32", "F6", "F32 ", "bfloat16"})
    CHECK_FALSE(parseDType(unknown));
}

TEST_CASE("elements of a host tensor are read by their type") {
  HostTensor ints = HostTensor::ofInts({2, 2}, {-1, 2, int64_t(1) << 53, 0});
  CHECK(ints.at(0) == -1);
  CHECK(ints.at(2) == 0x1p53);
  HostTensor halves(DType::F16, {2});
  halves.as<uint16_t>()[1] = 0x3c00;
  CHECK(halves.at(1) == 1);
  HostTensor flags(DType::Bool, {3});
  flags.bytes[2] = std::byte(7);
  CHECK(flags.at(1) == 0);
  CHECK(flags.at(2) == 1);
  HostTensor scalar(DType::BF16, {});
  CHECK(scalar.elements() == 1);
  scalar.as<uint16_t>()[0] = 0xc000;
  CHECK(scalar.at(0) == -2);
}
