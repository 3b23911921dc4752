// A part of the mutation score (docs/mutations.md): every kind of mistake, on models that have what it changes, is caught by
// numbers alone, and the layer that has it is named.
#include "tests/mutation_score/Score.h"

#include "passes/Mutate.h"
#include "tests/support/Migrated.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;
using Kind = MutationOutcome::Kind;

namespace {
Device *device() {
  Diagnostics diags;
  Device *ort = ortCpu(diags);
  if (!ort && std::getenv("FLAGRELEASE_NO_SKIPS"))
    FAIL("not run: " << textOf(diags));
  if (!ort)
    WARN("skipped: " << textOf(diags));
  return ort;
}
} // namespace

TEST_CASE("every mistake is caught, and its layer named") {
  Device *ort = device();
  if (!ort)
    return;
  std::set<std::string> caught;
  struct One {
    const char *fixture;
    std::vector<std::string> kinds; ///< empty: all
  };
  const One ones[] = {{"qwen3-attention-bias", {}},
                      {"mistral-mistral-7b-v0.1", {"window", "padding", "kv-order", "rms-eps"}},
                      {"llama-hidden-act", {"gelu"}}};
  for (const One &one : ones) {
    Diagnostics diags;
    FailureOr<std::vector<MutationOutcome>> outcomes = scoreFixture(one.fixture, one.kinds, *ort, defaultGate(), diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(outcomes));
    CHECK(outcomes->size() == (one.kinds.empty() ? mutations().size() : one.kinds.size()));
    for (const MutationOutcome &outcome : *outcomes) {
      if (outcome.outcome == Kind::NotApplicable)
        continue;
      INFO(outcome.fixture << ", " << outcome.kind << " in layer " << outcome.layer << ": " << outcomeName(outcome.outcome)
                           << ", " << outcome.firstOutside << ", " << outcome.reason);
      CHECK(outcome.outcome == Kind::Caught);
      CHECK(outcome.layerNamed);
      caught.insert(outcome.kind);
    }
  }
  for (const Mutation &mutation : mutations()) {
    INFO(mutation.kind.str());
    CHECK(caught.count(mutation.kind.str()));
  }
}

// The numbers of the table come from a full run; its rows are the kinds that exist.
TEST_CASE("the table of the docs has every kind, and nothing missed") {
  const std::string text = readFile(FLAGRELEASE_SOURCE_DIR "/docs/mutations.md");
  for (const Mutation &mutation : mutations()) {
    INFO(mutation.kind.str());
    CHECK(StringRef(text).contains("| `" + mutation.kind.str() + "` | " + mutation.what.str() + " | "));
  }
  CHECK(StringRef(text).contains("## Missed\n\nNone.\n"));
}
