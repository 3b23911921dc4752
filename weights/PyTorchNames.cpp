#include "weights/PyTorchNames.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease {

namespace {

using Role = PickleGlobal::Role;

const char *const kAgain = "the file is damaged: fetch it again";
const char *const kOther = "save it with a newer torch as a plain state dict, or fetch a revision with safetensors";

// Everything that a pickle may name.
constexpr TorchName kNames[] = {
    {{"collections", "OrderedDict", Role::Mapping}, TorchMeaning::None, {}},
    {{"torch._utils", "_rebuild_tensor_v2", Role::Function}, TorchMeaning::TensorV2, {}},
    {{"torch._utils", "_rebuild_tensor_v3", Role::Function}, TorchMeaning::TensorV3, {}},
    {{"torch._utils", "_rebuild_parameter", Role::Function}, TorchMeaning::Parameter, {}},
    {{"torch._utils", "_rebuild_parameter_with_state", Role::Function}, TorchMeaning::ParameterWithState, {}},
    {{"torch._tensor", "_rebuild_from_type_v2", Role::Function}, TorchMeaning::FromType, {}},
    {{"torch", "Tensor"}, TorchMeaning::TensorClass, {}},
    {{"torch.nn.parameter", "Parameter"}, TorchMeaning::TensorClass, {}},
    // Values beside the tensors, which are not read: a size, a device, bytes in protocol 2.
    {{"torch", "Size", Role::Inert}, TorchMeaning::None, {}},
    {{"torch", "device", Role::Inert}, TorchMeaning::None, {}},
    {{"_codecs", "encode", Role::Inert}, TorchMeaning::None, {}},

    {{"torch.storage", "UntypedStorage"}, TorchMeaning::Untyped, {}},
    {{"torch", "UntypedStorage"}, TorchMeaning::Untyped, {}},
    {{"torch.storage", "TypedStorage"}, TorchMeaning::Storage, {}},
    {{"torch", "DoubleStorage"}, TorchMeaning::Storage, DType::F64},
    {{"torch", "FloatStorage"}, TorchMeaning::Storage, DType::F32},
    {{"torch", "HalfStorage"}, TorchMeaning::Storage, DType::F16},
    {{"torch", "BFloat16Storage"}, TorchMeaning::Storage, DType::BF16},
    {{"torch", "LongStorage"}, TorchMeaning::Storage, DType::I64},
    {{"torch", "IntStorage"}, TorchMeaning::Storage, DType::I32},
    {{"torch", "ShortStorage"}, TorchMeaning::Storage, DType::I16},
    {{"torch", "CharStorage"}, TorchMeaning::Storage, DType::I8},
    {{"torch", "ByteStorage"}, TorchMeaning::Storage, DType::U8},
    {{"torch", "BoolStorage"}, TorchMeaning::Storage, DType::Bool},
    {{"torch", "ComplexFloatStorage"}, TorchMeaning::Storage, DType::C64},
    {{"torch", "ComplexDoubleStorage"}, TorchMeaning::Storage, {}},

    {{"torch", "float64"}, TorchMeaning::Type, DType::F64},
    {{"torch", "float32"}, TorchMeaning::Type, DType::F32},
    {{"torch", "float16"}, TorchMeaning::Type, DType::F16},
    {{"torch", "bfloat16"}, TorchMeaning::Type, DType::BF16},
    {{"torch", "float8_e4m3fn"}, TorchMeaning::Type, DType::F8E4M3},
    {{"torch", "float8_e5m2"}, TorchMeaning::Type, DType::F8E5M2},
    {{"torch", "float8_e8m0fnu"}, TorchMeaning::Type, DType::F8E8M0},
    {{"torch", "float8_e4m3fnuz"}, TorchMeaning::Type, DType::F8E4M3Fnuz},
    {{"torch", "float8_e5m2fnuz"}, TorchMeaning::Type, DType::F8E5M2Fnuz},
    {{"torch", "float4_e2m1fn_x2"}, TorchMeaning::Type, DType::F4}, // an element of torch is two of ours
    {{"torch", "int64"}, TorchMeaning::Type, DType::I64},
    {{"torch", "int32"}, TorchMeaning::Type, DType::I32},
    {{"torch", "int16"}, TorchMeaning::Type, DType::I16},
    {{"torch", "int8"}, TorchMeaning::Type, DType::I8},
    {{"torch", "uint64"}, TorchMeaning::Type, DType::U64},
    {{"torch", "uint32"}, TorchMeaning::Type, DType::U32},
    {{"torch", "uint16"}, TorchMeaning::Type, DType::U16},
    {{"torch", "uint8"}, TorchMeaning::Type, DType::U8},
    {{"torch", "bool"}, TorchMeaning::Type, DType::Bool},
    {{"torch", "complex64"}, TorchMeaning::Type, DType::C64},
    {{"torch", "complex128"}, TorchMeaning::Type, {}},
    {{"torch", "complex32"}, TorchMeaning::Type, {}},
};

} // namespace

llvm::ArrayRef<TorchName> torchNames() { return kNames; }

const std::vector<PickleGlobal> &torchGlobals() {
  static const std::vector<PickleGlobal> globals = [] {
    std::vector<PickleGlobal> list;
    for (const TorchName &name : kNames)
      list.push_back(name.global);
    return list;
  }();
  return globals;
}

std::string fullName(const TorchName &name) { return (name.global.module + "." + name.global.name).str(); }

std::string pythonLine(const std::string &file, const std::string &statement) {
  bool plain = !file.empty() && file.front() != '-' &&
               llvm::all_of(file, [](char c) { return llvm::isAlnum(c) || StringRef("/._-+").contains(c); });
  return "python3 -c 'import sys, torch; f = sys.argv[1]; " + statement + "' " + (plain ? file : "FILE");
}

LogicalResult refuseOtherFile(const std::string &file, StringRef start, Diagnostics &diags) {
  if (start.starts_with("version https://git-lfs"))
    return diags.error(file, "is a git-lfs pointer, not the file itself",
                       "run 'git lfs pull' in the repository, or fetch the file");
  if (start.starts_with(StringRef("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14)))
    return diags.error(file, "is a checkpoint in the format of torch before 1.6 (pickles one after the other), which is not read",
                       "convert it in place: " + pythonLine(file, std::string("torch.save(") + kTorchLoad + ", f)"));
  if (start.size() > 262 && start.substr(257, 5) == "ustar")
    return diags.error(file, "is a tar archive, the format of torch before 0.1.10, which is not read",
                       "convert it in place: " + pythonLine(file, "torch.save(torch.load(f, map_location=\"cpu\"), f)"));
  if (start.starts_with("GGUF"))
    return diags.error(file, "is a GGUF file under the name of a torch checkpoint", "rename it to .gguf");
  if (start.size() > 8 && start[8] == '{')
    return diags.error(file, "looks like a safetensors file under the name of a torch checkpoint", "rename it to .safetensors");
  if (!start.empty() && start.front() == '\x80')
    return diags.error(file, "is a bare pickle, no checkpoint of torch.save", kOther);
  return diags.error(file, "is no checkpoint of torch.save: it does not start as a zip archive does", kAgain);
}

} // namespace flagrelease
