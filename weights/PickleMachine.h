// The stack machine behind weights/Pickle.h: values, stack, memo, names and calls. What each opcode does is in Pickle.cpp.
#pragma once

#include "weights/CappedErrors.h"
#include "weights/Pickle.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/ConvertUTF.h"

namespace flagrelease {

/// Members return false after an error.
class PickleMachine {
public:
  PickleMachine(StringRef bytes, const std::string &where, llvm::ArrayRef<PickleGlobal> known, Diagnostics &diags,
                const PickleLimits &limits)
      : bytes(bytes), where(where), known(known), diags(diags), limits(limits), unknown(diags, where) {}

  FailureOr<Pickle> run() {
    while (!stopped)
      if (!step())
        return failure();
    if (unknown.any())
      return failure();
    return std::move(pickle);
  }

private:
  using Kind = PickleValue::Kind;
  using Role = PickleGlobal::Role;
  static constexpr const char *damaged = "the file is damaged or no checkpoint: fetch it again";
  static constexpr const char *hostile = "do not trust this file; fetch it from its publisher, or a revision with safetensors";
  static constexpr size_t maxRefused = 1000; ///< distinct unknown names before reading stops

  // --- reading -----------------------------------------------------------------------------------------------------------

  bool bad(const Twine &what, const char *remedy = damaged) {
    (void)diags.error(where + ": byte " + Twine(opAt), what, remedy);
    return false;
  }

  bool take(uint64_t count, StringRef &out) {
    if (count > bytes.size() - at)
      return bad("opcode " + opName() + " needs " + Twine(count) + " bytes, " + Twine(bytes.size() - at) + " follow");
    out = bytes.substr(at, count);
    at += count;
    return true;
  }

  /// An unsigned little-endian number of `width` bytes.
  bool takeNumber(unsigned width, uint64_t &out) {
    StringRef raw;
    if (!take(width, raw))
      return false;
    out = 0;
    for (unsigned i = 0; i < width; ++i)
      out |= uint64_t(static_cast<unsigned char>(raw[i])) << (8 * i);
    return true;
  }

  /// Bytes behind a length of `width` bytes.
  bool takeCounted(unsigned width, StringRef &out) {
    uint64_t count;
    return takeNumber(width, count) && take(count, out);
  }

  bool takeLine(StringRef &out) {
    size_t end = bytes.find('\n', at);
    if (end == StringRef::npos)
      return bad("opcode " + opName() + " needs a line, and none ends after it");
    out = bytes.slice(at, end);
    at = end + 1;
    return true;
  }

  std::string opName() const {
    const unsigned char c = static_cast<unsigned char>(op);
    return llvm::isPrint(op) ? std::string("'") + op + "'" : "0x" + llvm::utohexstr(c, /*LowerCase=*/true, /*Width=*/2);
  }

  // --- stack -------------------------------------------------------------------------------------------------------------

  bool push(PickleRef ref) {
    if (stack.size() >= limits.stack)
      return bad("more than " + Twine(limits.stack) + " values wait on the stack", hostile);
    stack.push_back(ref);
    return true;
  }

  bool make(PickleValue value, PickleRef &ref) {
    if (pickle.values.size() >= limits.values)
      return bad("has more than " + Twine(limits.values) + " values", hostile);
    value.at = opAt;
    ref = static_cast<PickleRef>(pickle.values.size());
    pickle.values.push_back(std::move(value));
    return true;
  }
  bool pushNew(PickleValue value) {
    PickleRef ref;
    return make(std::move(value), ref) && push(ref);
  }
  bool pushNew(Kind kind, int64_t number = 0, StringRef text = {}) {
    PickleValue value;
    value.kind = kind;
    value.number = number;
    value.text = text;
    return pushNew(std::move(value));
  }

  /// Pops one value. Those below the last mark are out of reach.
  bool pop(PickleRef &ref) {
    if (stack.size() <= floor())
      return bad("opcode " + opName() + " takes a value, and the stack is empty");
    ref = stack.pop_back_val();
    return true;
  }
  size_t floor() const { return marks.empty() ? 0 : marks.back(); }

  /// Pops all values above the last mark, and the mark.
  bool popMark(llvm::SmallVectorImpl<PickleRef> &items) {
    if (marks.empty())
      return bad("opcode " + opName() + " takes what is above a mark, and there is no mark");
    items.assign(stack.begin() + marks.back(), stack.end());
    stack.truncate(marks.back());
    marks.pop_back();
    return true;
  }

  /// Without this, copies of copies of a container would be quadratic.
  bool spend(uint64_t count) {
    spent += count;
    return spent <= limits.items || bad("puts more than " + Twine(limits.items) + " values into containers", hostile);
  }

  /// Puts `items` into a container, which gets as deep as they are.
  bool extend(PickleRef ref, llvm::ArrayRef<PickleRef> items) {
    if (!spend(items.size()))
      return false;
    PickleValue &value = pickle.values[ref];
    unsigned depth = value.depth;
    for (PickleRef item : items)
      depth = std::max<unsigned>(depth, pickle.values[item].depth + 1u);
    if (depth > limits.depth)
      return bad("nests containers more than " + Twine(limits.depth) + " deep", hostile);
    value.depth = static_cast<uint16_t>(depth);
    value.items.insert(value.items.end(), items.begin(), items.end());
    return true;
  }
  bool pushContainer(Kind kind, llvm::ArrayRef<PickleRef> items) {
    PickleRef ref;
    PickleValue value;
    value.kind = kind;
    return make(std::move(value), ref) && extend(ref, items) && push(ref);
  }
  bool pushTuple(unsigned count) {
    if (stack.size() < floor() + count)
      return bad("opcode " + opName() + " takes " + Twine(count) + " values, and the stack has fewer");
    llvm::SmallVector<PickleRef, 3> items(stack.end() - count, stack.end());
    stack.pop_back_n(count);
    return pushContainer(Kind::Tuple, items);
  }

  /// Adds to the container that lies on top: APPEND(S), SETITEM(S), ADDITEMS.
  bool add(Kind kind, llvm::ArrayRef<PickleRef> items) {
    if (stack.size() <= floor())
      return bad("opcode " + opName() + " takes a container, and the stack is empty");
    PickleValue &target = pickle.values[stack.back()];
    if (target.kind == Kind::Opaque)
      return true;
    if (target.kind != kind)
      return bad("opcode " + opName() + " adds to " + Pickle::kindName(target.kind) + ", which is no " +
                 Pickle::kindName(kind).drop_front(2));
    if (kind == Kind::Dict && items.size() % 2)
      return bad("opcode " + opName() + " adds a key without a value");
    return extend(stack.back(), items);
  }

  // --- memo --------------------------------------------------------------------------------------------------------------

  bool remember(uint64_t index) {
    if (stack.size() <= floor())
      return bad("opcode " + opName() + " remembers a value, and the stack is empty");
    if (index >= limits.memo)
      return bad("remembers value " + Twine(index) + "; at most " + Twine(limits.memo) + " are possible", hostile);
    memo[static_cast<uint32_t>(index)] = stack.back();
    return true;
  }
  bool recall(uint64_t index) {
    auto it = index < limits.memo ? memo.find(static_cast<uint32_t>(index)) : memo.end();
    if (it == memo.end())
      return bad("recalls value " + Twine(index) + ", which was not remembered");
    return push(it->second);
  }
  bool takeIndex(uint64_t &index) {
    StringRef line;
    if (!takeLine(line))
      return false;
    if (line.getAsInteger(10, index))
      return bad("opcode " + opName() + " needs an index that is no negative number, not '" + line.take_front(32) + "'");
    return true;
  }

  // --- names and calls ---------------------------------------------------------------------------------------------------

  /// An unknown name is reported once, and reading goes on, so that one run shows all.
  bool refuse(StringRef module, StringRef name) {
    if (!refused.insert((module + "." + name).str()).second)
      return pushNew(Kind::Opaque);
    if (refused.size() > maxRefused)
      return bad("names more than " + Twine(maxRefused) + " things of Python that no tensor needs", hostile);
    unknown.error("names of Python that are refused", where + ": byte " + Twine(opAt),
                  "names " + module.take_front(256) + "." + name.take_front(256) +
                      ", which is not among the names that plain tensors need: it is refused, and nothing is executed",
                  hostile);
    return pushNew(Kind::Opaque);
  }

  bool pushGlobal(StringRef module, StringRef name) {
    for (size_t i = 0; i < known.size(); ++i)
      if (known[i].module == module && known[i].name == name)
        return pushNew(Kind::Global, static_cast<int64_t>(i));
    return refuse(module, name);
  }

  bool stackGlobal() {
    PickleRef name, module;
    if (!pop(name) || !pop(module))
      return false;
    if (pickle[module].kind != Kind::Text || pickle[name].kind != Kind::Text)
      return bad("opcode " + opName() + " takes two texts, module and name, not " + Pickle::kindName(pickle[module].kind) +
                 " and " + Pickle::kindName(pickle[name].kind));
    return pushGlobal(pickle[module].text, pickle[name].text);
  }

  bool reduce() {
    PickleRef arguments, function;
    if (!pop(arguments) || !pop(function))
      return false;
    if (pickle[arguments].kind != Kind::Tuple)
      return bad("calls with " + Pickle::kindName(pickle[arguments].kind) + " where a tuple of arguments is needed");
    const PickleValue &callee = pickle[function];
    if (callee.kind == Kind::Opaque && unknown.any()) // the call of a name that was refused
      return pushNew(Kind::Opaque);
    if (callee.kind != Kind::Global)
      return bad("calls " + Pickle::kindName(callee.kind) + ", which is no function that is known here", hostile);
    const PickleGlobal &global = known[callee.number];
    const std::string full = (global.module + "." + global.name).str();
    switch (global.role) {
    case Role::Value:
      return bad("calls " + full + ", which no tensor needs: it is refused, and nothing is executed", hostile);
    case Role::Inert:
      return pushNew(Kind::Opaque);
    case Role::Mapping:
      return pushMapping(pickle[arguments].items, full);
    case Role::Function: {
      PickleValue call;
      call.kind = Kind::Call;
      call.number = callee.number;
      PickleRef ref;
      return make(std::move(call), ref) && extend(ref, {arguments}) && push(ref);
    }
    }
    return false;
  }

  /// OrderedDict(), or as Python 2 wrote it, OrderedDict([[key, value], ...]).
  bool pushMapping(std::vector<PickleRef> arguments, const std::string &name) {
    std::vector<PickleRef> items;
    if (arguments.size() > 1 || (arguments.size() == 1 && pickle[arguments[0]].kind != Kind::List))
      return bad("calls " + name + " with something else than one list of pairs");
    if (!arguments.empty() && !spend(pickle[arguments[0]].items.size()))
      return false;
    if (!arguments.empty())
      for (PickleRef entry : pickle[arguments[0]].items) {
        const PickleValue &pair = pickle[entry];
        if ((pair.kind != Kind::List && pair.kind != Kind::Tuple) || pair.items.size() != 2)
          return bad("calls " + name + " with something else than one list of pairs");
        items.insert(items.end(), pair.items.begin(), pair.items.end());
      }
    return pushContainer(Kind::Dict, items);
  }

  bool build() {
    PickleRef state;
    if (!pop(state))
      return false;
    if (stack.size() <= floor())
      return bad("opcode " + opName() + " sets attributes, and the stack is empty");
    const Kind kind = pickle[stack.back()].kind;
    if (kind != Kind::Dict && kind != Kind::Opaque)
      return bad("sets attributes of " + Pickle::kindName(kind) +
                     ", which no tensor needs: it is refused, and nothing is executed",
                 hostile);
    return true; // `_metadata` of a state dict: dropped
  }

  // --- numbers and texts -------------------------------------------------------------------------------------------------

  bool pushInteger(StringRef raw) {
    if (raw.size() > 8)
      return pushNew(Kind::BigInt);
    uint64_t bits = 0;
    for (size_t i = 0; i < raw.size(); ++i)
      bits |= uint64_t(static_cast<unsigned char>(raw[i])) << (8 * i);
    if (!raw.empty() && raw.size() < 8 && (raw.back() & 0x80))
      bits |= ~uint64_t(0) << (8 * raw.size());
    return pushNew(Kind::Int, static_cast<int64_t>(bits));
  }

  bool pushDecimal(StringRef line, bool isBool) {
    if (isBool && (line == "00" || line == "01"))
      return pushNew(Kind::Bool, line == "01");
    line.consume_back("L");
    int64_t number;
    if (!line.getAsInteger(10, number))
      return pushNew(Kind::Int, number);
    StringRef digits = line;
    digits.consume_front("-");
    if (digits.empty() || !llvm::all_of(digits, llvm::isDigit))
      return bad("opcode " + opName() + " needs a number, not '" + line.take_front(32) + "'");
    return pushNew(Kind::BigInt);
  }

  bool pushText(StringRef text) {
    auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.begin());
    if (!llvm::isLegalUTF8String(&begin, reinterpret_cast<const llvm::UTF8 *>(text.end())))
      return bad("opcode " + opName() + " has a text that is not UTF-8");
    return pushNew(Kind::Text, 0, text);
  }

  /// Texts of protocol 0, whose escapes nobody needs for the name of a tensor.
  bool pushLine(StringRef line, bool quoted) {
    if (quoted) {
      if (line.size() < 2 || (line.front() != '\'' && line.front() != '"') || line.back() != line.front())
        return bad("opcode " + opName() + " has a text without quotes");
      line = line.drop_front().drop_back();
    }
    if (line.contains('\\'))
      return bad("opcode " + opName() + " has a text with escapes, which are not read", "save it with a newer torch");
    return pushText(line);
  }

  // --- opcodes -----------------------------------------------------------------------------------------------------------

  bool step();
  bool stop() {
    if (!pop(pickle.root))
      return false;
    if (!stack.empty() || !marks.empty())
      return bad("ends with values left on the stack");
    if (at != bytes.size())
      return bad("has " + Twine(bytes.size() - at) + " bytes after its end", hostile);
    stopped = true;
    return true;
  }
  bool refuseOp(const char *name) {
    return bad(Twine("has the opcode ") + name + ", which no tensor needs: it is refused, and nothing is executed", hostile);
  }
  bool refuseInstance();

  StringRef bytes;
  const std::string &where;
  llvm::ArrayRef<PickleGlobal> known;
  Diagnostics &diags;
  PickleLimits limits;
  CappedErrors unknown;
  llvm::StringSet<> refused;

  Pickle pickle;
  llvm::SmallVector<PickleRef, 64> stack;
  llvm::SmallVector<size_t, 16> marks; ///< heights of the stack
  llvm::DenseMap<uint32_t, PickleRef> memo;
  uint64_t at = 0, opAt = 0; ///< next byte; byte of the current opcode
  uint64_t spent = 0;        ///< values put into containers
  char op = 0;
  bool stopped = false;
};

} // namespace flagrelease
