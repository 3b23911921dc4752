// Writes the checkpoint of a fixture, for trying things by hand:
//   flagrelease-fixture FIXTURE OUT [--shards N] [--store F32|F16|BF16] [--torch]
// FIXTURE is a folder with tensors.json, or the name of one of tests/fixtures/models.
#include "tests/support/Fixture.h"

#include "llvm/ADT/StringExtras.h"

#include <cstdio>
#include <filesystem>

using namespace flagrelease;

int main(int argc, char **argv) {
  std::vector<std::string> places;
  test::MaterialiseOptions options;
  bool wrong = false;
  for (int i = 1; i < argc; ++i) {
    StringRef word = argv[i];
    if (word == "--shards" && i + 1 < argc)
      wrong |= !llvm::to_integer(argv[++i], options.shards) || options.shards == 0;
    else if (word == "--store" && i + 1 < argc)
      wrong |= !(options.storeAs = parseDType(argv[++i])) || !isFloat(*options.storeAs) || byteWidth(*options.storeAs) < 2;
    else if (word == "--torch")
      options.torch = true;
    else if (word.starts_with("-"))
      wrong = true;
    else
      places.push_back(word.str());
  }
  if (wrong || places.size() != 2) {
    std::fprintf(stderr, "usage: flagrelease-fixture FIXTURE OUT [--shards N] [--store F32|F16|BF16] [--torch]\n");
    return 2;
  }
  const bool isFolder = std::filesystem::exists(places[0] + "/tensors.json");
  Diagnostics diags;
  if (succeeded(test::materialise(isFolder ? places[0] : test::fixturePath(places[0]), places[1], diags, options)))
    return 0;
  for (const Problem &problem : diags.errors())
    std::fprintf(stderr, "%s: %s\n", problem.where.c_str(), problem.what.c_str());
  return 1;
}
