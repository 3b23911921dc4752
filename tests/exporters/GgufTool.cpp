// For tests and people: a checkpoint, or a tokenizer alone, as GGUF.
//   flagrelease-write-gguf SOURCE OUT_FOLDER [f32|f16|bf16|source]
//   flagrelease-write-gguf --vocabulary FOLDER ROWS OUT_FILE
#include "tests/exporters/GgufCases.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

using namespace flagrelease;

int main(int argc, char **argv) {
  Diagnostics diags;
  LogicalResult result = failure();
  if (argc == 5 && llvm::StringRef(argv[1]) == "--vocabulary")
    result = test::writeGgufVocabulary(argv[2], std::stoll(argv[3]), argv[4], diags);
  else if (argc == 3 || argc == 4) {
    test::WriteGgufOptions options;
    if (argc == 4)
      options.floats = parseDType(llvm::StringRef(argv[3]).upper());
    result = test::writeGguf(argv[1], argv[2], options, diags);
  } else
    llvm::errs() << "usage: flagrelease-write-gguf SOURCE OUT_FOLDER [f32|f16|bf16|source] | --vocabulary FOLDER ROWS OUT_FILE\n";
  for (const Problem &note : diags.remarks())
    llvm::errs() << "note: " << note.where << ": " << note.what << "\n";
  llvm::errs() << test::problems(diags);
  return failed(result);
}
