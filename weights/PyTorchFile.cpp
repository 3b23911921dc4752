#include "weights/PyTorchFile.h"

#include "text/Nearest.h"
#include "weights/CappedErrors.h"
#include "weights/Digest.h"
#include "weights/Pickle.h"
#include "weights/PyTorchNames.h"
#include "weights/Zip.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace flagrelease {

namespace {

using Kind = PickleValue::Kind;
using Meaning = TorchMeaning;

constexpr uint64_t kMaxPickle = uint64_t(64) << 20;
constexpr size_t kMaxRank = 32;
const char *const kAgain = "the file is damaged: fetch it again";
const char *const kOther = "save it with a newer torch as a plain state dict, or fetch a revision with safetensors";

class Reader {
public:
  Reader(const ByteSource &source, Diagnostics &diags)
      : source(source), file(source.name()), diags(diags), errors(diags, source.name()) {}

  FailureOr<PyTorchHeader> read() {
    std::string start(static_cast<size_t>(std::min<uint64_t>(source.size(), 512)), '\0');
    if (failed(source.read(0, {reinterpret_cast<std::byte *>(start.data()), start.size()}, diags)))
      return failure();
    if (!StringRef(start).starts_with("PK\x03\x04") && !StringRef(start).starts_with("PK\x05\x06"))
      return refuseOtherFile(file, start, diags);
    FailureOr<ZipDirectory> directory = readZipDirectory(source, diags);
    if (failed(directory))
      return failure();
    zip = std::move(*directory);
    if (failed(readPickleText()))
      return failure();
    FailureOr<Pickle> read = readPickle(text, file + ": " + prefix + "data.pkl", torchGlobals(), diags);
    if (failed(read))
      return failure();
    pickle = std::move(*read);
    PyTorchHeader header;
    if (failed(readState(header.tensors)))
      return failure();
    std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorEntry &a, const TensorEntry &b) {
      return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
    });
    Sha256 digest;
    digest.update(zip.bytes);
    digest.update(text);
    header.digest = digest.hex();
    return header;
  }

private:
  FailureOr<std::string> readMember(const ZipMember &member, uint64_t limit) {
    std::string where = file + ": " + member.name;
    if (member.method != 0)
      return diags.error(where, "is compressed (method " + Twine(member.method) + "); torch.save stores members as they are",
                         "unpack it and save it again with torch.save");
    if (member.stored > limit)
      return diags.error(where, "has " + Twine(member.stored) + " bytes; at most " + Twine(limit) + " are read", kOther);
    std::string bytes(static_cast<size_t>(member.stored), '\0');
    if (failed(source.read(member.offset, {reinterpret_cast<std::byte *>(bytes.data()), bytes.size()}, diags)))
      return failure();
    return bytes;
  }

  /// data.pkl, after what else the archive says about itself.
  LogicalResult readPickleText() {
    const ZipMember *data = nullptr;
    for (const ZipMember &member : zip.members) {
      auto [folder, name] = StringRef(member.name).split('/');
      if (name == "constants.pkl" || name.starts_with("code/"))
        return diags.error(file, "is a TorchScript program, not only a checkpoint: it has " + member.name,
                           "save its weights: " +
                               pythonLine(file, "torch.save(torch.jit.load(f, map_location=\"cpu\").state_dict(), f)"));
      if (name != "data.pkl")
        continue;
      if (data)
        return diags.error(file, "holds two checkpoints: " + data->name + " and " + member.name, kOther);
      data = &member;
      prefix = folder.str() + "/";
    }
    if (!data)
      return diags.error(file, "is a zip archive without data.pkl, no checkpoint of torch.save", kAgain);
    if (const ZipMember *order = zip.find(prefix + "byteorder")) {
      FailureOr<std::string> value = readMember(*order, 16);
      if (failed(value))
        return failure();
      if (*value != "little")
        return diags.error(file + ": " + order->name, "says '" + *value + "'; only little-endian checkpoints are read",
                           "load it on a machine of its byte order and save it as safetensors");
    }
    FailureOr<std::string> bytes = readMember(*data, kMaxPickle);
    if (failed(bytes))
      return failure();
    text = std::move(*bytes);
    return success();
  }

  Meaning meaningOf(PickleRef ref) const {
    const PickleValue &value = pickle[ref];
    return value.kind == Kind::Global || value.kind == Kind::Call ? torchNames()[value.number].meaning : Meaning::None;
  }
  bool isTensor(PickleRef ref) const { return pickle[ref].kind == Kind::Call; }

  // --- the state dict ----------------------------------------------------------------------------------------------------

  size_t tensorsIn(PickleRef ref) const {
    const PickleValue &value = pickle[ref];
    size_t count = 0;
    if (value.kind == Kind::Dict)
      for (size_t i = 1; i < value.items.size(); i += 2)
        count += isTensor(value.items[i]);
    return count;
  }

  /// The value of the last entry with this key, as Python has it.
  std::optional<PickleRef> lookUp(const PickleValue &dict, StringRef key) const {
    std::optional<PickleRef> found;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
      if (const PickleValue &name = pickle[dict.items[i]]; name.kind == Kind::Text && name.text == key)
        found = dict.items[i + 1];
    return found;
  }

  LogicalResult readState(std::vector<TensorEntry> &tensors) {
    PickleRef state = pickle.root;
    const PickleValue &root = pickle[state];
    if (root.kind != Kind::Dict)
      return diags.error(file, "holds " + Pickle::kindName(root.kind) + ", where a dict of tensors is needed", kOther);
    if (tensorsIn(state) == 0) {
      std::vector<std::string> wrappers;
      for (const char *key : {"state_dict", "model", "module", "model_state_dict"})
        if (std::optional<PickleRef> inner = lookUp(root, key); inner && tensorsIn(*inner)) {
          wrappers.push_back(key);
          state = *inner;
        }
      if (wrappers.empty())
        return diags.error(file, "holds no tensor at its top level, only " + describe(root, {}),
                           "save the dict of tensors alone: " +
                               pythonLine(file, std::string("torch.save(") + kTorchLoad + "[\"KEY\"], f)"));
      if (wrappers.size() > 1)
        return diags.error(file, "holds tensors in " + listed(wrappers) + ": which of them is the model is not known",
                           "save one alone: " +
                               pythonLine(file, std::string("torch.save(") + kTorchLoad + "[\"" + wrappers.front() + "\"], f)"));
      std::string others = describe(root, wrappers.front());
      diags.note(file, "reads the tensors in '" + wrappers.front() + "'" + (others.empty() ? "" : "; not read: " + others));
    }
    const PickleValue &dict = pickle[state];
    llvm::StringMap<char> names;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue &key = pickle[dict.items[i]];
      if (!isTensor(dict.items[i + 1]))
        continue;
      std::string name = key.kind == Kind::Text ? key.text.str() : "";
      if (name.empty())
        errors.error("tensors without a name", file + ": byte " + Twine(key.at) + " of data.pkl",
                     "a tensor has " + Pickle::kindName(key.kind) + " for a name, where a text is needed", kOther);
      else if (!names.insert({name, 0}).second)
        errors.error("tensors that are there twice", file + ": " + name, "is in the state dict twice", kAgain);
      else if (TensorEntry entry; readTensor(dict.items[i + 1], name, entry))
        tensors.push_back(std::move(entry));
    }
    if (errors.any())
      return failure();
    if (std::string others = describe(dict, {}); !others.empty())
      diags.note(file, "not read, because they are no tensors: " + others);
    return success();
  }

  /// "epoch (an integer), optimizer (a dict)": entries that are no tensors, without `except`.
  std::string describe(const PickleValue &dict, StringRef except) const {
    std::vector<std::string> entries;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue &key = pickle[dict.items[i]];
      if (isTensor(dict.items[i + 1]) || (key.kind == Kind::Text && key.text == except && !except.empty()))
        continue;
      std::string name = key.kind == Kind::Text  ? key.text.take_front(128).str()
                         : key.kind == Kind::Int ? std::to_string(key.number)
                                                 : Pickle::kindName(key.kind).str();
      entries.push_back(name + " (" + Pickle::kindName(pickle[dict.items[i + 1]].kind).str() + ")");
    }
    return entries.empty() ? dict.items.empty() ? "an empty dict" : "" : listed(entries);
  }

  // --- one tensor --------------------------------------------------------------------------------------------------------

  bool bad(const std::string &kind, const Twine &what, const Twine &remedy = kAgain) {
    errors.error("tensors " + kind, file + ": " + *current, what, remedy);
    return false;
  }

  /// Goes through parameters and attributes down to the call that makes the tensor.
  bool readTensor(PickleRef ref, const std::string &name, TensorEntry &entry) {
    current = &name;
    entry.name = name;
    Meaning meaning = meaningOf(ref);
    PickleRef arguments = pickle[ref].items[0]; // a Call has its tuple
    while (true) {
      const std::vector<PickleRef> &items = pickle[arguments].items;
      switch (meaning) {
      case Meaning::TensorV2:
        return (items.size() == 6 || items.size() == 7 || bad("of unknown form", wrongCount(items.size()), kOther)) &&
               readView(items, /*dtype=*/nullptr, items.size() == 7 ? &items[6] : nullptr, entry);
      case Meaning::TensorV3:
        return (items.size() == 7 || items.size() == 8 || bad("of unknown form", wrongCount(items.size()), kOther)) &&
               readView(items, &items[6], items.size() == 8 ? &items[7] : nullptr, entry);
      case Meaning::Parameter:
      case Meaning::ParameterWithState:
        if (items.size() != (meaning == Meaning::Parameter ? 3u : 4u) || pickle[items[0]].kind != Kind::Call)
          return bad("of unknown form", wrongCount(items.size()), kOther);
        meaning = meaningOf(items[0]);
        arguments = pickle[items[0]].items[0];
        continue;
      case Meaning::FromType:
        if (items.size() != 4 || pickle[items[0]].kind != Kind::Global || pickle[items[2]].kind != Kind::Tuple)
          return bad("of unknown form", wrongCount(items.size()), kOther);
        if (meaningOf(items[1]) != Meaning::TensorClass || pickle[items[1]].kind != Kind::Global)
          return bad("of unknown class", "is of a class that is neither a tensor nor a parameter", kOther);
        meaning = meaningOf(items[0]);
        arguments = items[2];
        continue;
      default:
        return bad("of unknown form", "is made in a way that is not known here", kOther);
      }
    }
  }

  static std::string wrongCount(size_t count) {
    return "is made by a call with other arguments than torch.save writes (" + std::to_string(count) + " of them)";
  }

  /// Of a persistent id: ("storage", class, key, location, number of elements).
  struct Storage {
    const ZipMember *member = nullptr;
    bool untyped = false;
    std::optional<DType> type;
    std::string className;
    uint64_t elements = 0;
  };

  bool readStorage(PickleRef ref, Storage &storage) {
    const PickleValue &value = pickle[ref];
    if (value.kind != Kind::Persistent)
      return bad("without storage", "is a view of " + Pickle::kindName(value.kind) + ", where a storage is needed");
    const PickleValue &id = pickle[value.items[0]];
    if (id.kind != Kind::Tuple || id.items.size() != 5)
      return bad("without storage", "its storage has an id of " + Twine(id.kind == Kind::Tuple ? id.items.size() : 0) +
                                        " parts, where 5 are needed");
    auto part = [&](size_t i) -> const PickleValue & { return pickle[id.items[i]]; };
    if (part(0).kind != Kind::Text || part(0).text != "storage" || part(1).kind != Kind::Global || part(2).kind != Kind::Text ||
        part(4).kind != Kind::Int || part(4).number < 0)
      return bad("without storage", "its storage has an id that is not (\"storage\", class, key, location, number of elements)");
    const TorchName &name = torchNames()[part(1).number];
    if (name.meaning != Meaning::Storage && name.meaning != Meaning::Untyped)
      return bad("without storage", "its storage is said to be of class " + fullName(name) + ", which is no storage");
    storage.untyped = name.meaning == Meaning::Untyped;
    storage.type = name.type;
    storage.className = fullName(name);
    storage.elements = static_cast<uint64_t>(part(4).number);
    std::string memberName = prefix + "data/" + part(2).text.str();
    storage.member = zip.find(memberName);
    if (!storage.member)
      return bad("without storage", "its storage " + memberName + " is not in the archive");
    if (storage.member->method != 0)
      return bad("whose storage is compressed",
                 "its storage " + memberName + " is compressed (method " + Twine(storage.member->method) +
                     "); torch.save stores it as it is",
                 "unpack the file and save it again with torch.save");
    return true;
  }

  bool readSizes(PickleRef ref, const char *what, std::vector<int64_t> &out) {
    const PickleValue &value = pickle[ref];
    if (value.kind != Kind::Tuple)
      return bad("without shape", Twine("its ") + what + " is " + Pickle::kindName(value.kind) + ", where a tuple is needed");
    if (value.items.size() > kMaxRank)
      return bad("of too many dimensions",
                 "has " + Twine(value.items.size()) + " dimensions; at most " + Twine(kMaxRank) + " are allowed");
    for (PickleRef item : value.items) {
      if (pickle[item].kind != Kind::Int || pickle[item].number < 0)
        return bad("with a bad dimension", Twine("its ") + what + " has a part that is no integer in [0, 2^63)");
      out.push_back(pickle[item].number);
    }
    return true;
  }

  bool readView(const std::vector<PickleRef> &arguments, const PickleRef *dtype, const PickleRef *metadata, TensorEntry &entry) {
    Storage storage;
    std::vector<int64_t> strides;
    if (!readStorage(arguments[0], storage) || !readSizes(arguments[2], "shape", entry.shape) ||
        !readSizes(arguments[3], "stride", strides))
      return false;
    const PickleValue &offset = pickle[arguments[1]];
    if (offset.kind != Kind::Int || offset.number < 0)
      return bad("with a bad offset", "its offset in the storage is no integer in [0, 2^63)");
    if (metadata && (pickle[*metadata].kind != Kind::Dict || !pickle[*metadata].items.empty()))
      return bad("that are views", "is a conjugated or negated view of its storage",
                 "save it resolved: .resolve_conj().resolve_neg()");
    if (dtype && (meaningOf(*dtype) != Meaning::Type || pickle[*dtype].kind != Kind::Global))
      return bad("of unknown dtype", "its element type is " + Pickle::kindName(pickle[*dtype].kind) + ", no torch.dtype");
    if (storage.untyped != (dtype != nullptr))
      return bad("of unknown form", "its storage is of class " + storage.className + ", which does not fit the way it is made");
    std::optional<DType> type = dtype ? torchNames()[pickle[*dtype].number].type : storage.type;
    if (!type)
      return bad("of unknown dtype",
                 "is of " + (dtype ? fullName(torchNames()[pickle[*dtype].number]) : storage.className) + ", which is not read",
                 "store it as float32, float16 or bfloat16");
    entry.type = *type;
    if (strides.size() != entry.shape.size() || !isContiguous(entry.shape, strides))
      return bad("that are not contiguous",
                 "has shape " + shapeToText(entry.shape) + " and strides " + shapeToText(strides) +
                     ": it is not contiguous in its storage",
                 "save it in order: " + pythonLine(file, std::string("torch.save({k: v.contiguous() if torch.is_tensor(v) else v "
                                                                     "for k, v in ") +
                                                             kTorchLoad + ".items()}, f)"));
    return placeView(storage, static_cast<uint64_t>(offset.number), entry);
  }

  /// Strides of dimensions of one element say nothing.
  static bool isContiguous(const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
    if (llvm::is_contained(shape, 0))
      return true;
    int64_t expected = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      if (shape[i] != 1 && strides[i] != expected)
        return false;
      if (__builtin_mul_overflow(expected, shape[i], &expected))
        return i == 0 || llvm::all_of(llvm::ArrayRef(shape).take_front(i), [](int64_t size) { return size == 1; });
    }
    return true;
  }

  bool placeView(const Storage &storage, uint64_t offset, TensorEntry &entry) {
    const bool pairs = entry.type == DType::F4; // two of our elements in one of torch
    const uint64_t width = byteWidth(entry.type);
    uint64_t storageBytes;
    if (__builtin_mul_overflow(storage.elements, storage.untyped ? 1 : width, &storageBytes) ||
        storageBytes != storage.member->stored)
      return bad("whose storage has another size", "its storage " + storage.member->name + " should have " +
                                                       Twine(storage.elements) + " elements of " + storage.className +
                                                       ", and has " + Twine(storage.member->stored) + " bytes");
    if (pairs && entry.shape.empty())
      return bad("of unknown form", "is a pair of F4 without a dimension", kOther);
    if (pairs && __builtin_mul_overflow(entry.shape.back(), 2, &entry.shape.back()))
      return bad("whose size overflows", "its shape has 2^63 elements or more");
    std::optional<uint64_t> bytes = tensorBytes(entry.type, entry.shape);
    uint64_t begin;
    if (!bytes)
      return bad("whose size overflows",
                 "its shape " + shapeToText(entry.shape) + " of " + dtypeName(entry.type) + " has 2^63 bytes or more");
    if (__builtin_mul_overflow(offset, width, &begin) || begin > storageBytes || *bytes > storageBytes - begin)
      return bad("outside of their storage", "needs " + Twine(*bytes) + " bytes from element " + Twine(offset) +
                                                 " on, but its storage " + storage.member->name + " has " + Twine(storageBytes));
    entry.offset = storage.member->offset + begin;
    entry.bytes = *bytes;
    return true;
  }

  const ByteSource &source;
  const std::string &file;
  Diagnostics &diags;
  CappedErrors errors;
  ZipDirectory zip;
  std::string prefix; ///< of all members of the checkpoint, with its '/'
  std::string text;   ///< data.pkl; the pickle's texts point into it
  Pickle pickle;
  const std::string *current = nullptr; ///< name of the tensor that is read
};

} // namespace

FailureOr<PyTorchHeader> readPyTorchHeader(const ByteSource &source, Diagnostics &diags) { return Reader(source, diags).read(); }

} // namespace flagrelease
