#include "text/Sizes.h"

#include "text/Escape.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>
#include <cstdio>
#include <limits>

using namespace flagrelease;

FailureOr<uint64_t> flagrelease::parseSize(StringRef text, const Twine &where, Diagnostics &diags) {
  auto refuse = [&](const Twine &why) {
    return diags.error(where, "'" + escape::terminal(text, 80) + "' is not a size: " + why,
                       "write a number and a unit: 512MiB, 1.5GiB, 2GB");
  };
  StringRef rest = text.trim();
  size_t digits = rest.find_first_not_of("0123456789");
  StringRef whole = rest.substr(0, digits);
  rest = rest.substr(whole.size());
  StringRef fraction;
  if (rest.consume_front(".")) {
    fraction = rest.substr(0, rest.find_first_not_of("0123456789"));
    rest = rest.substr(fraction.size());
    if (fraction.empty())
      return refuse("no digit after the point");
  }
  if (whole.empty())
    return refuse("it does not start with a digit");
  uint64_t unit = llvm::StringSwitch<uint64_t>(rest.trim().lower())
                      .Cases("", "b", 1)
                      .Cases("k", "kib", uint64_t(1) << 10)
                      .Cases("m", "mib", uint64_t(1) << 20)
                      .Cases("g", "gib", uint64_t(1) << 30)
                      .Cases("t", "tib", uint64_t(1) << 40)
                      .Case("kb", 1000)
                      .Case("mb", 1000000)
                      .Case("gb", 1000000000)
                      .Case("tb", 1000000000000)
                      .Default(0);
  if (unit == 0)
    return refuse("unknown unit '" + escape::terminal(rest.trim(), 40) + "'");

  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t value = 0;
  if (whole.getAsInteger(10, value) || value > kMax / unit)
    return refuse("it is more than 2^63-1 bytes");
  value *= unit;
  if (!fraction.empty()) {
    // Exact: unit * fraction / 10^digits must be a whole number of bytes.
    fraction = fraction.rtrim('0');
    uint64_t numerator = 0;
    if (fraction.size() > 18 || (!fraction.empty() && fraction.getAsInteger(10, numerator)))
      return refuse("too many digits after the point");
    uint64_t denominator = 1;
    for (size_t i = 0; i < fraction.size(); ++i)
      denominator *= 10;
    unsigned __int128 product = static_cast<unsigned __int128>(numerator) * unit;
    if (product % denominator != 0)
      return refuse("it is not a whole number of bytes");
    uint64_t part = static_cast<uint64_t>(product / denominator);
    if (part > kMax - value)
      return refuse("it is more than 2^63-1 bytes");
    value += part;
  }
  return value;
}

static std::string scaled(uint64_t value, double step, const char *const *units, size_t count) {
  double shown = static_cast<double>(value);
  size_t unit = 0;
  // 1023.96 KiB would print as 1024.0 KiB: go to the next unit where rounding does.
  while (unit + 1 < count && shown >= step - (unit ? 0.05 : 0.0)) {
    shown /= step;
    ++unit;
  }
  char buffer[48];
  if (unit == 0)
    std::snprintf(buffer, sizeof buffer, "%llu%s", static_cast<unsigned long long>(value), units[0]);
  else
    std::snprintf(buffer, sizeof buffer, "%.1f%s", shown, units[unit]);
  return buffer;
}

std::string flagrelease::humanBytes(uint64_t bytes) {
  static const char *const kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  return scaled(bytes, 1024.0, kUnits, std::size(kUnits));
}

std::string flagrelease::humanCount(uint64_t count) {
  static const char *const kUnits[] = {"", " k", " M", " B", " T"};
  return scaled(count, 1000.0, kUnits, std::size(kUnits));
}
