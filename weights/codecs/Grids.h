// Code books of the iq formats: each row is eight (four) signed bytes, the first in the lowest bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace flagrelease::codecs {

extern const std::array<uint64_t, 2048> kIq1sGrid;  ///< -1 0 1
extern const std::array<uint64_t, 256> kIq2xxsGrid; ///< 8 25 43
extern const std::array<uint64_t, 512> kIq2xsGrid;
extern const std::array<uint64_t, 1024> kIq2sGrid;
extern const std::array<uint32_t, 256> kIq3xxsGrid; ///< 4 12 20 28 36 44 52 62
extern const std::array<uint32_t, 512> kIq3sGrid;   ///< 1 3 5 7 9 11 13 15

/// Rows from words that hold an index of `Bits` bits per element.
template <typename Row, size_t Rows, unsigned Width, unsigned Bits>
constexpr std::array<Row, Rows> unpackGrid(const uint16_t (&words)[Rows], const std::array<int8_t, size_t(1) << Bits> &numbers) {
  std::array<Row, Rows> grid{};
  for (size_t i = 0; i < Rows; ++i)
    for (unsigned place = 0; place < Width; ++place) {
      uint8_t number = static_cast<uint8_t>(numbers[words[i] >> (Bits * place) & ((1u << Bits) - 1)]);
      grid[i] |= static_cast<Row>(number) << (8 * place);
    }
  return grid;
}

} // namespace flagrelease::codecs
