// The names of Python that a checkpoint of torch.save may contain, all of them, and what each means to its reader.
#pragma once

#include "ir/DType.h"
#include "weights/Pickle.h"

#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// What a name of the pickle is to us.
enum class TorchMeaning : uint8_t {
  None,
  TensorV2,           ///< (storage, offset, size, stride, requires_grad, hooks[, metadata])
  TensorV3,           ///< (storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])
  Parameter,          ///< (data, requires_grad, hooks)
  ParameterWithState, ///< (data, requires_grad, hooks, state)
  FromType,           ///< (function, class, arguments, state): a tensor with attributes of Python
  TensorClass,
  Storage, ///< of elements of `type`
  Untyped, ///< a storage of bytes
  Type,    ///< an element type
};

struct TorchName {
  PickleGlobal global;
  TorchMeaning meaning = TorchMeaning::None;
  std::optional<DType> type; ///< Storage and Type: nothing for one that is not read
};

/// In the order of torchGlobals(): PickleValue::number is an index of both.
llvm::ArrayRef<TorchName> torchNames();
const std::vector<PickleGlobal> &torchGlobals();
/// "torch.FloatStorage".
std::string fullName(const TorchName &name);

/// A line for a shell that runs the Python `statement` over the file `f`.
std::string pythonLine(const std::string &file, const std::string &statement);
/// The Python expression that loads `f`.
inline constexpr const char *kTorchLoad = "torch.load(f, map_location=\"cpu\", weights_only=True)";

/// Reports what a file that is no zip archive is instead, from its first 512 bytes, and the way out.
LogicalResult refuseOtherFile(const std::string &file, StringRef start, Diagnostics &diags);

} // namespace flagrelease
