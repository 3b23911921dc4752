// A restricted reader of Python's pickle format (Lib/pickletools.py of CPython describes it; protocols 0 to 5).
//
// A pickle is a program for a stack machine that may name any function of Python and call it. This one calls nothing: a name is
// looked up in a table of known ones, and a call of a known one becomes a value that says so, for the reader of the format on top
// to judge (weights/PyTorchFile.h). Every other name is an error that says the name and the place. Opcodes that nothing harmless
// needs (INST, OBJ, EXT, out-of-band buffers, NEWOBJ) are refused too.
//
// Time and memory are linear in the bytes of the pickle, and all of stack, memo, nesting and number of values is limited. Texts
// and bytes are views into the pickle.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

/// A name of Python that a pickle may contain.
struct PickleGlobal {
  enum class Role : uint8_t {
    Value,    ///< a class or a constant: never called
    Function, ///< called with a tuple: PickleValue::Kind::Call
    Mapping,  ///< called without arguments, or with a list of pairs: PickleValue::Kind::Dict; attributes set on it are dropped
    Inert,    ///< called with anything: PickleValue::Kind::Opaque
  };
  llvm::StringLiteral module, name;
  Role role = Role::Value;
};

/// Index of a value in Pickle::values.
using PickleRef = uint32_t;

struct PickleValue {
  enum class Kind : uint8_t {
    None,
    Bool,       ///< number: 0 or 1
    Int,        ///< number
    BigInt,     ///< an integer outside of 64 bits; its value is dropped
    Float,      ///< its value is dropped
    Text,       ///< text: UTF-8
    Bytes,      ///< text
    Tuple,      ///< items
    List,       ///< items
    Set,        ///< items
    Dict,       ///< items: key, value, key, value ... in the order of the file, also those that replace others
    Global,     ///< number: index into the table
    Call,       ///< number: index into the table; items: the tuple of arguments
    Persistent, ///< items: the id
    Opaque,     ///< something known to be harmless and of no use
  };
  Kind kind = Kind::None;
  uint16_t depth = 0; ///< of containers in it
  uint64_t at = 0;    ///< byte of the pickle that made it
  int64_t number = 0;
  StringRef text;
  std::vector<PickleRef> items;
};

struct Pickle {
  std::vector<PickleValue> values;
  PickleRef root = 0;

  const PickleValue &operator[](PickleRef ref) const { return values[ref]; }
  /// "an integer", "a dict": for messages.
  static StringRef kindName(PickleValue::Kind kind);
};

struct PickleLimits {
  uint32_t values = 4'000'000;
  uint32_t stack = 1'000'000;
  uint32_t memo = 4'000'000;
  uint32_t depth = 64;         ///< of marks, and of containers in containers
  uint64_t items = 16'000'000; ///< of all containers together
};

/// Runs the program `bytes`, which must outlive the result. `where` stands before places in messages.
FailureOr<Pickle> readPickle(StringRef bytes, const std::string &where, llvm::ArrayRef<PickleGlobal> known, Diagnostics &diags,
                             const PickleLimits &limits = {});

} // namespace flagrelease
