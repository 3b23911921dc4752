#include "text/Nearest.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using Names = std::vector<std::string>;

TEST_CASE("nearest: typing mistakes find their name", "[nearest]") {
  const llvm::StringRef known[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "UNet2DConditionModel"};
  CHECK(nearest("Qwen3ForCausalLm", known) == Names{"Qwen3ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM"});
  CHECK(nearest("unet2dconditionmodel", known) == Names{"UNet2DConditionModel"});
  CHECK(nearest("Qwen3", known) == Names{"Qwen3ForCausalLM"}); // contained
  CHECK(nearest("zzz", known).empty());
  CHECK(nearest("", known).empty());
  CHECK(nearest(std::string(100000, 'a'), known).empty());
  CHECK(nearestNote("rms_nrm", llvm::ArrayRef<llvm::StringRef>{"rms_norm", "attention"}) == ", nearest known: rms_norm");
  CHECK(nearestNote("q", llvm::ArrayRef<llvm::StringRef>{"attention"}) == "");
}

TEST_CASE("nearest: lists end", "[nearest]") {
  CHECK(listed(Names{"a", "b", "c"}, 2) == "a, b and 1 more");
  CHECK(listed(Names{"a", "b"}) == "a, b");
  CHECK(listed(Names{"\x1b"}) == "\\x1b");
}
