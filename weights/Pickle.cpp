#include "weights/Pickle.h"

#include "weights/PickleMachine.h"

namespace flagrelease {

/// INST names a class: the name is what the user wants to see.
bool PickleMachine::refuseInstance() {
  StringRef module, name;
  if (!takeLine(module) || !takeLine(name))
    return false;
  return bad("makes an object of " + module.take_front(256) + "." + name.take_front(256) +
                 " (opcode INST), which no tensor needs: it is refused, and nothing is executed",
             hostile);
}

bool PickleMachine::step() {
  opAt = at;
  if (at >= bytes.size())
    return bad("ends without the opcode STOP");
  op = bytes[at++];
  StringRef text, second;
  uint64_t number = 0;
  PickleRef ref, key;
  llvm::SmallVector<PickleRef, 8> items;
  switch (static_cast<unsigned char>(op)) {
  // Frames and ends.
  case 0x80: // PROTO
    return takeNumber(1, number) && (number <= 5 || bad("is a pickle of protocol " + Twine(number) + "; 0 to 5 are known"));
  case 0x95: // FRAME: only a hint for reading ahead
    return takeNumber(8, number) && (number <= bytes.size() - at || bad("has a frame of " + Twine(number) + " bytes, but only " +
                                                                        Twine(bytes.size() - at) + " follow"));
  case '.':
    return stop();
  case '(':
    if (marks.size() >= limits.depth)
      return bad("nests more than " + Twine(limits.depth) + " marks", hostile);
    marks.push_back(stack.size());
    return true;
  case '0': // POP
    return stack.size() > floor() ? pop(ref) : popMark(items);
  case '1': // POP_MARK
    return popMark(items);
  // Numbers and constants.
  case 'N':
    return pushNew(Kind::None);
  case 0x88:
    return pushNew(Kind::Bool, 1);
  case 0x89:
    return pushNew(Kind::Bool, 0);
  case 'I':
  case 'L':
    return takeLine(text) && pushDecimal(text, op == 'I');
  case 'J': // BININT, signed
    return take(4, text) && pushInteger(text);
  case 'K': // BININT1, unsigned
    return takeNumber(1, number) && pushNew(Kind::Int, static_cast<int64_t>(number));
  case 'M': // BININT2, unsigned
    return takeNumber(2, number) && pushNew(Kind::Int, static_cast<int64_t>(number));
  case 0x8a: // LONG1
    return takeCounted(1, text) && pushInteger(text);
  case 0x8b: // LONG4, with a signed length
    return takeNumber(4, number) && (number < 0x80000000 || bad("has an integer of a negative number of bytes", hostile)) &&
           take(number, text) && pushInteger(text);
  case 'F':
    return takeLine(text) && pushNew(Kind::Float);
  case 'G':
    return take(8, text) && pushNew(Kind::Float);
  // Texts and bytes.
  case 'X':
    return takeCounted(4, text) && pushText(text);
  case 0x8c:
    return takeCounted(1, text) && pushText(text);
  case 0x8d:
    return takeCounted(8, text) && pushText(text);
  case 'V':
    return takeLine(text) && pushLine(text, /*quoted=*/false);
  case 'S':
    return takeLine(text) && pushLine(text, /*quoted=*/true);
  case 'U': // texts of Python 2
    return takeCounted(1, text) && pushText(text);
  case 'T':
    return takeNumber(4, number) && (number < 0x80000000 || bad("has a text of a negative number of bytes", hostile)) &&
           take(number, text) && pushText(text);
  case 'C':
    return takeCounted(1, text) && pushNew(Kind::Bytes, 0, text);
  case 'B':
    return takeCounted(4, text) && pushNew(Kind::Bytes, 0, text);
  case 0x8e: // BINBYTES8
  case 0x96: // BYTEARRAY8
    return takeCounted(8, text) && pushNew(Kind::Bytes, 0, text);
  // Containers.
  case ')':
    return pushTuple(0);
  case 0x85:
    return pushTuple(1);
  case 0x86:
    return pushTuple(2);
  case 0x87:
    return pushTuple(3);
  case 't':
    return popMark(items) && pushContainer(Kind::Tuple, items);
  case ']':
    return pushContainer(Kind::List, {});
  case 'l':
    return popMark(items) && pushContainer(Kind::List, items);
  case 'a':
    return pop(ref) && add(Kind::List, {ref});
  case 'e':
    return popMark(items) && add(Kind::List, items);
  case '}':
    return pushContainer(Kind::Dict, {});
  case 'd':
    return popMark(items) && (items.size() % 2 == 0 || bad("makes a dict with a key without a value")) &&
           pushContainer(Kind::Dict, items);
  case 's':
    return pop(ref) && pop(key) && add(Kind::Dict, {key, ref});
  case 'u':
    return popMark(items) && add(Kind::Dict, items);
  case 0x8f: // EMPTY_SET
    return pushContainer(Kind::Set, {});
  case 0x90: // ADDITEMS
    return popMark(items) && add(Kind::Set, items);
  case 0x91: // FROZENSET
    return popMark(items) && pushContainer(Kind::Set, items);
  // Memo.
  case 'p':
    return takeIndex(number) && remember(number);
  case 'q':
    return takeNumber(1, number) && remember(number);
  case 'r':
    return takeNumber(4, number) && remember(number);
  case 0x94:
    return remember(memo.size());
  case 'g':
    return takeIndex(number) && recall(number);
  case 'h':
    return takeNumber(1, number) && recall(number);
  case 'j':
    return takeNumber(4, number) && recall(number);
  // Names, calls, storages.
  case 'c':
    return takeLine(text) && takeLine(second) && pushGlobal(text, second);
  case 0x93:
    return stackGlobal();
  case 'R':
    return reduce();
  case 'b':
    return build();
  case 'Q': // BINPERSID
    return pop(ref) && pushContainer(Kind::Persistent, {ref});
  // Refused.
  case 'P':
    return refuseOp("PERSID (a reference as text, of protocol 0)");
  case 'i':
    return refuseInstance();
  case 'o':
    return refuseOp("OBJ");
  case 0x81:
    return refuseOp("NEWOBJ");
  case 0x92:
    return refuseOp("NEWOBJ_EX");
  case 0x82:
  case 0x83:
  case 0x84:
    return refuseOp("EXT (a name by number)");
  case 0x97:
  case 0x98:
    return refuseOp("NEXT_BUFFER or READONLY_BUFFER (data outside of the file)");
  case '2':
    return refuseOp("DUP");
  default:
    return bad("has the unknown opcode " + opName());
  }
}

StringRef Pickle::kindName(PickleValue::Kind kind) {
  switch (kind) {
  case PickleValue::Kind::None:
    return "a None";
  case PickleValue::Kind::Bool:
    return "a bool";
  case PickleValue::Kind::Int:
  case PickleValue::Kind::BigInt:
    return "an integer";
  case PickleValue::Kind::Float:
    return "a float";
  case PickleValue::Kind::Text:
    return "a text";
  case PickleValue::Kind::Bytes:
    return "a bytes";
  case PickleValue::Kind::Tuple:
    return "a tuple";
  case PickleValue::Kind::List:
    return "a list";
  case PickleValue::Kind::Set:
    return "a set";
  case PickleValue::Kind::Dict:
    return "a dict";
  case PickleValue::Kind::Global:
    return "a class or constant";
  case PickleValue::Kind::Call:
    return "a tensor";
  case PickleValue::Kind::Persistent:
    return "a storage";
  case PickleValue::Kind::Opaque:
    return "an object";
  }
  return "a value";
}

FailureOr<Pickle> readPickle(StringRef bytes, const std::string &where, llvm::ArrayRef<PickleGlobal> known, Diagnostics &diags,
                             const PickleLimits &limits) {
  return PickleMachine(bytes, where, known, diags, limits).run();
}

} // namespace flagrelease
