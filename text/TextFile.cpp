#include "text/TextFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace flagrelease;

FailureOr<std::string> flagrelease::readTextFile(StringRef path, size_t maxBytes, Diagnostics &diags) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return diags.error(path, "cannot read: " + error.message());
  if (!llvm::sys::fs::is_regular_file(status))
    return diags.error(path, "is not a regular file");
  if (status.getSize() > maxBytes)
    return diags.error(path, "has " + Twine(status.getSize()) + " bytes, the limit is " + Twine(maxBytes));
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (std::error_code error = buffer.getError())
    return diags.error(path, "cannot read: " + error.message());
  return (*buffer)->getBuffer().str();
}
