#include "validators/Cases.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>
#include <set>

using namespace flagrelease;

namespace {
GateCases gateCases() {
  GateCases cases;
  cases.seed = 20260801;
  cases.lengths = {8, 64, 300};
  cases.decodeSteps = 16;
  cases.batchRows = 3;
  cases.padLeft = cases.padRight = true;
  cases.lastPositions = 16;
  cases.seededPositions = 48;
  return cases;
}

/// "prefill-8:8+16" of each case, and "name!" of those skipped.
std::string shown(const CaseLimits &limits) {
  Diagnostics diags;
  FailureOr<CaseList> list = makeCases(gateCases(), limits, diags);
  REQUIRE(succeeded(list));
  std::string text;
  for (const ValidationCase &one : list->cases) {
    text += one.name + ":";
    for (const auto &row : one.rows)
      text += std::to_string(row.size()) + (&row == &one.rows.back() ? "" : ",");
    text += "+" + std::to_string(one.decodeSteps) + (one.required ? " " : "? ");
  }
  for (const SkippedCase &one : list->skipped)
    text += one.name + "! ";
  return text;
}

CaseLimits limits(int64_t maxLength = 0) {
  CaseLimits limits;
  limits.vocabulary = 100;
  limits.maxLength = maxLength;
  return limits;
}
} // namespace

TEST_CASE("the cases of a model") {
  const std::string batches = "batch-left:7,15,24+16 batch-right:7,15,24+16 ";
  CHECK(shown(limits()) == "prefill-8:8+16 prefill-64:64+16 prefill-300:300+16 " + batches);
  // Cut to the model's positions, once.
  CHECK(shown(limits(64)) == "prefill-8:8+16 prefill-64:64+0 " + batches);
  CHECK(shown(limits(32)) == "prefill-8:8+16 prefill-32:32+0 batch-left:7,11,16+16 batch-right:7,11,16+16 ");
  CHECK(shown(limits(4)) == "prefill-4:4+0 batch-left:1,1,2+2 batch-right:1,1,2+2 ");

  CaseLimits embedding = limits(64);
  embedding.generates = false;
  CHECK(shown(embedding) == "prefill-8:8+0 prefill-64:64+0 batch-left:7,15,24+0 batch-right:7,15,24+0 ");

  CaseLimits fixed = limits(2048);
  fixed.fixedBatch = 1;
  fixed.fixedLength = 128;
  CHECK(shown(fixed) == "prefill-8:8+16 prefill-64:64+16 prefill-300! batch-left! batch-right! ");
  fixed.fixedLength = 4;
  CHECK(shown(fixed) == "prefill-4:4+0 prefill-8! prefill-64! prefill-300! batch-left! batch-right! ");

  CaseLimits cache = limits(2048);
  cache.cacheColumns = 72;
  CHECK(shown(cache) == "prefill-8:8+16 prefill-64:64+8 " + batches + "prefill-300! ");

  CaseLimits longer = limits(2048);
  longer.extraLengths = {64, 1000, 5000};
  CHECK(shown(longer) ==
        "prefill-8:8+16 prefill-64:64+16 prefill-300:300+16 " + batches + "prefill-1000:1000+16? prefill-2048:2048+0? ");
}

TEST_CASE("ids are seeded, in range, and never the padding") {
  Diagnostics diags;
  CaseLimits small;
  small.vocabulary = 3;
  small.padId = 1;
  FailureOr<CaseList> list = makeCases(gateCases(), small, diags);
  REQUIRE(succeeded(list));
  for (const ValidationCase &one : list->cases)
    for (const auto &row : one.rows)
      for (int64_t id : row)
        CHECK((id == 0 || id == 2));
  FailureOr<CaseList> again = makeCases(gateCases(), small, diags);
  CHECK(list->digest() == again->digest());
  std::set<std::string> digests;
  for (const ValidationCase &one : list->cases)
    digests.insert(one.idsDigest);
  // The two batches differ by name, hence by seed.
  CHECK(digests.size() == list->cases.size());
  GateCases other = gateCases();
  ++other.seed;
  CHECK(makeCases(other, small, diags)->digest() != list->digest());

  CaseLimits none;
  none.vocabulary = 1;
  none.padId = 0;
  CHECK(failed(makeCases(gateCases(), none, diags)));
  CHECK(diags.errors().back().cause == Cause::Input);
}

TEST_CASE("positions that are compared") {
  CHECK(comparedPositions(5, gateCases(), 1) == std::vector<int64_t>{0, 1, 2, 3, 4});
  CHECK(comparedPositions(64, gateCases(), 1).size() == 64);
  const std::vector<int64_t> some = comparedPositions(300, gateCases(), 1);
  CHECK(some.size() == 64);
  CHECK(llvm::is_sorted(some));
  CHECK(std::set<int64_t>(some.begin(), some.end()).size() == 64);
  for (int64_t p = 284; p < 300; ++p)
    CHECK(llvm::is_contained(some, p));
  CHECK(some == comparedPositions(300, gateCases(), 1));
  CHECK(some != comparedPositions(300, gateCases(), 2));
}
