// That the comparison with transformers is sharp: one visible tensor of each fixture, scaled by 1.01, must break it.
#include "tests/importers/OpenFixture.h"
#include "tests/support/TempFolder.h"
#include "weights/Checkpoint.h"

#include "llvm/Support/raw_ostream.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
uint32_t bitsOf(float value) { return std::bit_cast<uint32_t>(value); }

/// Of the floats in which fixtures store numbers or scales.
void scale(std::string &bytes, DType type) {
  if (type == DType::F16) {
    for (size_t i = 0; i + 2 <= bytes.size(); i += 2) {
      _Float16 value;
      std::memcpy(&value, bytes.data() + i, 2);
      value = static_cast<_Float16>(static_cast<float>(value) * 1.01f);
      std::memcpy(bytes.data() + i, &value, 2);
    }
    return;
  }
  const size_t width = type == DType::F32 ? 4 : 2;
  for (size_t i = 0; i + width <= bytes.size(); i += width) {
    uint32_t bits = 0;
    std::memcpy(reinterpret_cast<char *>(&bits) + (4 - width), bytes.data() + i, width);
    bits = bitsOf(std::bit_cast<float>(bits) * 1.01f);
    if (width == 2)
      bits += 0x7fff + ((bits >> 16) & 1); // to nearest
    std::memcpy(bytes.data() + i, reinterpret_cast<char *>(&bits) + (4 - width), width);
  }
}

/// Reads a tensor's bytes, or writes them.
std::string exchange(const Checkpoint &checkpoint, const CheckpointTensor &tensor, const std::string *bytes) {
  std::fstream file(checkpoint.files[tensor.file].path, std::ios::in | std::ios::out | std::ios::binary);
  std::string had(tensor.bytes, '\0');
  file.seekg(static_cast<std::streamoff>(tensor.offset));
  file.read(had.data(), static_cast<std::streamsize>(had.size()));
  if (bytes) {
    file.seekp(static_cast<std::streamoff>(tensor.offset));
    file.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
  }
  REQUIRE(file.good());
  return had;
}

/// Empty: some output is another one. Else what stood in the way of seeing it.
std::string breaks(const std::string &folder, const Golden &golden, Diagnostics &diags) {
  FailureOr<Opened> opened = openFixture(folder, golden, ReferencePrecision::F32, diags);
  if (failed(opened))
    return "not opened: " + problemsOf(diags);
  NamedTensors inputs;
  for (const std::string &input : golden.inputs)
    inputs[input] = golden.tensors.at(input);
  FailureOr<NamedTensors> got = opened->model->run(inputs, {.taps = true, .keepState = false, .stop = {}}, diags);
  if (failed(got))
    return "not run: " + problemsOf(diags);
  for (const std::string &output : golden.outputs) {
    const HostTensor &value = got->at(tensorOf(output, opened->imported.hidden));
    if (nmse(withoutPads(value, golden.tensors), withoutPads(golden.tensors.at(output), golden.tensors)) >
        golden.tolerance(output))
      return "";
  }
  return "every output is still within its tolerance";
}
} // namespace

TEST_CASE("a tensor scaled by 1.01 breaks the comparison") {
  const char *only = std::getenv("FLAGRELEASE_FIXTURE");
  int seen = 0;
  for (const std::string &name : fixtureNames()) {
    if (only && name != only)
      continue;
    DYNAMIC_SECTION(name) {
      Diagnostics diags;
      FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
      TempFolder folder;
      REQUIRE(succeeded(golden));
      REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
      FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
      REQUIRE(succeeded(checkpoint));
      // Some tensors cannot be seen: a projection in front of a norm, experts that no token chose, layers that only training has.
      std::vector<const CheckpointTensor *> matrices;
      for (const CheckpointTensor &tensor : checkpoint->tensors)
        if (tensor.shape.size() > 1 && (tensor.type == DType::F32 || tensor.type == DType::BF16 || tensor.type == DType::F16))
          matrices.push_back(&tensor);
      std::string tried;
      bool broken = false;
      for (size_t k = 0; k < 8 && k < matrices.size() && !broken; ++k) {
        const CheckpointTensor &tensor = *matrices[matrices.size() * (2 * k + 1) / 16];
        std::string bytes = exchange(*checkpoint, tensor, nullptr), scaled = bytes;
        scale(scaled, tensor.type);
        exchange(*checkpoint, tensor, &scaled);
        std::string why = breaks(folder.path, *golden, diags);
        exchange(*checkpoint, tensor, &bytes);
        broken = why.empty();
        tried += tensor.name + ": " + why + "\n";
      }
      INFO(tried);
      CHECK(broken);
    }
    ++seen;
  }
  CHECK(seen > 0);
}
