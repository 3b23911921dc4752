// flagrelease-mutation-score [--out FILE.md] [--kind KIND]... [FIXTURE]...
// Without fixtures: all of them. Prints a line per mutated model; writes the table of the docs. Exit 1 if anything was missed.
#include "tests/mutation_score/Score.h"

#include "tests/support/Migrated.h"

#include <cstdio>
#include <fstream>

using namespace flagrelease;

int main(int argc, char **argv) {
  std::vector<std::string> fixtures, kinds;
  std::string out;
  for (int i = 1; i < argc; ++i) {
    StringRef word = argv[i];
    if ((word == "--out" || word == "--kind") && i + 1 < argc)
      word == "--out" ? void(out = argv[++i]) : kinds.push_back(argv[++i]);
    else if (word.starts_with("-"))
      return std::fprintf(stderr, "usage: flagrelease-mutation-score [--out FILE.md] [--kind KIND]... [FIXTURE]...\n"), 2;
    else
      fixtures.push_back(word.str());
  }
  if (fixtures.empty())
    fixtures = test::coreFixtureNames();
  Diagnostics diags;
  auto fail = [&] { return std::fprintf(stderr, "%s", test::textOf(diags).c_str()), 3; };
  Device *device = test::ortCpu(diags);
  if (!device)
    return fail();
  std::vector<MutationOutcome> all;
  int missed = 0;
  for (const std::string &fixture : fixtures) {
    FailureOr<std::vector<MutationOutcome>> outcomes = scoreFixture(fixture, kinds, *device, test::defaultGate(), diags);
    if (failed(outcomes))
      return fail();
    for (const MutationOutcome &one : *outcomes) {
      std::printf("%-40s %-16s layer %2lld  %-14s %-9s %.1e  %s %s\n", one.fixture.c_str(), one.kind.c_str(),
                  static_cast<long long>(one.layer), outcomeName(one.outcome), one.layerNamed ? "named" : "", one.worst,
                  one.firstOutside.c_str(), one.reason.c_str());
      missed += one.outcome == MutationOutcome::Kind::Missed;
      all.push_back(one);
    }
    std::fflush(stdout);
  }
  if (!out.empty())
    std::ofstream(out, std::ios::binary) << scoreMarkdown(all, fixtures.size(), test::defaultGate());
  return missed ? 1 : 0;
}
