#include "text/TextFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace flagrelease;

static LogicalResult unreadable(StringRef path, std::error_code error, Diagnostics &diags) {
  bool forbidden = error == std::errc::permission_denied;
  return diags.error(path, "cannot read: " + error.message(), forbidden ? "check its permissions" : "check the path",
                     forbidden ? Cause::Environment : Cause::Input);
}

FailureOr<std::string> flagrelease::readTextFile(StringRef path, size_t maxBytes, Diagnostics &diags) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return unreadable(path, error, diags);
  if (!llvm::sys::fs::is_regular_file(status))
    return diags.error(path, "is not a regular file", "name a file");
  if (status.getSize() > maxBytes)
    return diags.error(path, "has " + Twine(status.getSize()) + " bytes, the limit is " + Twine(maxBytes),
                       "check that it is the file you mean");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (std::error_code error = buffer.getError())
    return unreadable(path, error, diags);
  return (*buffer)->getBuffer().str();
}
