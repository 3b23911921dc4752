// What a pickle may not say: every class of code that the format can call, and every way to be too large.
#include "tests/support/TempFolder.h"
#include "tests/support/TorchFile.h"
#include "weights/Pickle.h"

#include <catch2/catch.hpp>

#include <chrono>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

constexpr PickleGlobal kKnown[] = {{"known", "Class"},
                                   {"known", "function", PickleGlobal::Role::Function},
                                   {"known", "Mapping", PickleGlobal::Role::Mapping},
                                   {"known", "inert", PickleGlobal::Role::Inert}};

std::string repeated(StringRef piece, size_t times) {
  std::string text;
  text.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i)
    text += piece;
  return text;
}

std::string raw(StringRef bytes) { return PickleText().raw(bytes).done(); }
std::string counted(unsigned char op, uint64_t count, unsigned width, StringRef more = {}) {
  return PickleText().raw(std::string(1, static_cast<char>(op))).number(count, width).raw(more).done();
}

} // namespace

TEST_CASE("nothing is called but what is known") {
  struct Row {
    std::string name, pickle;
    std::vector<const char *> says;
  };
  std::vector<Row> rows = {
      {"two names, both reported",
       PickleText().raw("(").global("os", "system").global("subprocess", "Popen").global("os", "system").raw("t").done(),
       {"byte 3: names os.system,", "names subprocess.Popen"}},
      {"stack global", PickleText(4).string("os").string("system").raw("\x93").done(), {"names os.system"}},
      {"stack global of no texts", PickleText(4).integer(1).string("system").raw("\x93").done(), {"takes two texts"}},
      {"inst", raw("(ios\nsystem\n"), {"makes an object of os.system (opcode INST)"}},
      {"obj", PickleText().raw("(").global("known", "Class").raw("o").done(), {"has the opcode OBJ"}},
      {"newobj", PickleText().global("known", "Class").raw(")\x81").done(), {"has the opcode NEWOBJ,"}},
      {"newobj_ex", PickleText().global("known", "Class").raw(")}\x92").done(), {"has the opcode NEWOBJ_EX"}},
      {"ext1", raw("\x82\x01"), {"EXT (a name by number)"}},
      {"ext2", raw("\x83\x01\x02"), {"EXT"}},
      {"ext4", raw("\x84\x01\x02\x03\x04"), {"EXT"}},
      {"persistent id as text", raw("P0\n"), {"PERSID"}},
      {"buffer outside", raw("\x97"), {"NEXT_BUFFER"}},
      {"read-only buffer", raw("N\x98"), {"READONLY_BUFFER"}},
      {"dup", raw("N2"), {"DUP"}},
      {"a call of a class", PickleText().global("known", "Class").raw(")R").done(), {"calls known.Class, which no tensor needs"}},
      {"a call of a text", PickleText().string("os.system").raw(")R").done(), {"calls a text, which is no function"}},
      {"a call of a result",
       PickleText().global("known", "function").raw(")R)R").done(),
       {"calls a tensor, which is no function"}},
      {"a call without a tuple", PickleText().global("known", "function").raw("NR").done(), {"calls with a None"}},
      {"attributes of a call", PickleText().global("known", "function").raw(")R}b").done(), {"sets attributes of a tensor"}},
      {"attributes of a class", PickleText().global("known", "Class").raw("}b").done(), {"sets attributes of a class"}},
      {"attributes of a list", raw("]}b"), {"sets attributes of a list"}},
      {"mapping of something", PickleText().global("known", "Mapping").integer(1).raw("\x85R").done(), {"one list of pairs"}},
      {"mapping of no pairs", PickleText().global("known", "Mapping").raw("]Na\x85R").done(), {"one list of pairs"}},
  };
  for (auto [module, name] :
       std::initializer_list<std::pair<const char *, const char *>>{{"os", "system"},
                                                                    {"posix", "system"},
                                                                    {"nt", "system"},
                                                                    {"subprocess", "check_output"},
                                                                    {"builtins", "eval"},
                                                                    {"builtins", "exec"},
                                                                    {"builtins", "getattr"},
                                                                    {"builtins", "__import__"},
                                                                    {"__builtin__", "eval"},
                                                                    {"torch", "load"},
                                                                    {"torch.hub", "load"},
                                                                    {"torch._utils", "_rebuild_qtensor"},
                                                                    {"torch.nn.modules.linear", "Linear"},
                                                                    {"runpy", "_run_code"},
                                                                    {"numpy.core.multiarray", "_reconstruct"},
                                                                    {"numpy", "dtype"},
                                                                    {"argparse", "Namespace"},
                                                                    {"copy_reg", "_reconstructor"},
                                                                    {"copyreg", "__newobj__"},
                                                                    {"functools", "partial"},
                                                                    {"operator", "attrgetter"},
                                                                    {"webbrowser", "open"},
                                                                    {"pickle", "loads"},
                                                                    {"importlib", "import_module"},
                                                                    {"socket", "socket"},
                                                                    {"shutil", "rmtree"},
                                                                    {"pip", "main"},
                                                                    {"known", "Class.attribute"},
                                                                    {"known.Class", "x"},
                                                                    {"known", "class"},
                                                                    {"Known", "Class"},
                                                                    {"known ", "Class"},
                                                                    {"", ""}})
    rows.push_back({std::string(module) + "." + name, PickleText().global(module, name).string("true").raw("\x85R").done(), {}});
  for (Row &row : rows) {
    Diagnostics diags;
    bool refused = failed(readPickle(row.pickle, "x.bin: data.pkl", kKnown, diags));
    std::string text = textOf(diags);
    INFO(row.name << "\n" << text);
    CHECK(refused);
    CHECK_THAT(text, Catch::Contains("x.bin: data.pkl: byte "));
    if (row.says.empty())
      CHECK_THAT(text, Catch::Contains("names " + row.name + ", which is not among the names that plain tensors need"));
    for (const char *say : row.says)
      CHECK_THAT(text, Catch::Contains(say));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("pickles that are damaged, or too large on purpose, are refused soon") {
  PickleText quadratic;
  quadratic.raw("]q\x01(").raw(repeated("NN\x86", 100'000)).raw("e0");
  for (int i = 0; i < 10'000; ++i)
    quadratic.global("known", "Mapping").raw("h\x01\x85R0");
  struct Row {
    const char *name;
    std::string pickle;
    const char *says;
  };
  const Row rows[] = {
      {"empty", "", "byte 0: ends without the opcode STOP"},
      {"no end", "\x80\x02N", "ends without the opcode STOP"},
      {"nothing to end with", raw(""), "takes a value, and the stack is empty"},
      {"something left", raw("NN"), "ends with values left on the stack"},
      {"a mark left", raw("(N"), "ends with values left"},
      {"bytes after the end", raw("N") + "x", "has 1 bytes after its end"},
      {"protocol", PickleText(6).raw("N").done(), "is a pickle of protocol 6"},
      {"unknown opcode", raw("\xff"), "has the unknown opcode 0xff"},
      {"frame too long", counted(0x95, 1000, 8), "has a frame of 1000 bytes"},
      {"frame of everything", counted(0x95, ~uint64_t(0), 8), "has a frame of 18446744073709551615 bytes"},
      {"long of a gigabyte", counted(0x8b, 1 << 30, 4), "needs 1073741824 bytes"},
      {"long of a negative length", counted(0x8b, 0xffffffff, 4), "an integer of a negative number of bytes"},
      {"text of a negative length", counted('T', 0x80000000, 4), "a text of a negative number of bytes"},
      {"text too long", counted('X', 100, 4, "abc"), "needs 100 bytes"},
      {"text of everything", counted(0x8d, ~uint64_t(0), 8), "needs 18446744073709551615 bytes"},
      {"bytes of everything", counted(0x8e, ~uint64_t(0) - 8, 8), "bytes, 1 follow"},
      {"text that is not UTF-8", counted('X', 2, 4, "\xc0\x80"), "not UTF-8"},
      {"surrogate", counted('X', 3, 4, "\xed\xa0\x80"), "not UTF-8"},
      {"text without quotes", raw("Sabc\n"), "without quotes"},
      {"text with escapes", raw("V\\u0041\n"), "escapes"},
      {"line without end", raw("Iabc"), "needs a line"},
      {"no number", raw("I1x\n"), "needs a number, not '1x'"},
      {"no number either", raw("L\n"), "needs a number"},
      {"negative memo", raw("Np-1\n"), "needs an index"},
      {"huge memo", PickleText().raw("Nr").number(0xfffffffe, 4).done(), "remembers value 4294967294"},
      {"huge memo as text", raw("Np99999999999\n"), "remembers value 99999999999"},
      {"memo of nothing", raw("q\x01"), "remembers a value, and the stack is empty"},
      {"memo that is not there", raw("h\x07"), "recalls value 7, which was not remembered"},
      {"no mark", raw("Nt"), "there is no mark"},
      {"tuple below a mark", raw("N(N\x86"), "the stack has fewer"},
      {"append to nothing", raw("N(Na"), "takes a container, and the stack is empty"},
      {"append to a dict", raw("}Na"), "adds to a dict, which is no list"},
      {"item of a list", raw("]NNs"), "adds to a list, which is no dict"},
      {"key without a value", raw("}(NNNu"), "a key without a value"},
      {"dict without a value", raw("(NNNd"), "a key without a value"},
      {"deep marks", raw(repeated("(", 1'000'000)), "nests more than 64 marks"},
      {"deep tuples", raw(")" + repeated("\x85", 1'000'000)), "nests containers more than 64 deep"},
      {"deep lists",
       raw(repeated("]q\x01", 1) + repeated("]h\x01"
                                            "aq\x01",
                                            1000)),
       "nests containers more than 64 deep"},
      {"many values", raw(repeated("N0", 4'000'001)), "has more than 4000000 values"},
      {"high stack", raw(repeated("N", 1'000'001)), "more than 1000000 values wait on the stack"},
      {"copies of copies", quadratic.done(), "puts more than 16000000 values into containers"},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    auto start = std::chrono::steady_clock::now();
    bool refused = failed(readPickle(row.pickle, "x", kKnown, diags));
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    INFO(row.name << ", " << seconds << " s\n" << textOf(diags));
    CHECK(refused);
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
    CHECK(diags.errors().size() == 1);
  }
}

TEST_CASE("many unknown names are counted, not listed one by one") {
  PickleText pickle;
  for (int i = 0; i < 500; ++i)
    pickle.global("m", "f" + std::to_string(i)).raw(")R}b0");
  Diagnostics diags;
  CHECK(failed(readPickle(pickle.raw("N").done(), "x", kKnown, diags)));
  CHECK(diags.errors().size() == 21);
  CHECK_THAT(textOf(diags), Catch::Contains("and 480 more names of Python that are refused"));
}

TEST_CASE("values of every protocol") {
  using Kind = PickleValue::Kind;
  struct Row {
    std::string pickle;
    Kind kind;
    int64_t number;
    const char *text;
  };
  const Row rows[] = {
      {"I-12\n.", Kind::Int, -12, ""},
      {"I01\n.", Kind::Bool, 1, ""},
      {"L-9223372036854775808L\n.", Kind::Int, INT64_MIN, ""},
      {"L123456789012345678901234567890L\n.", Kind::BigInt, 0, ""},
      {"F1.5\n.", Kind::Float, 0, ""},
      {"S'abc'\n.", Kind::Text, 0, "abc"},
      {"Vabc\n.", Kind::Text, 0, "abc"},
      {raw("J\xff\xff\xff\xff"), Kind::Int, -1, ""},
      {raw("K\xff"), Kind::Int, 255, ""},
      {raw("M\xff\xff"), Kind::Int, 65535, ""},
      {raw("\x8a\x01\x80"), Kind::Int, -128, ""},
      {raw(StringRef("\x8a\x00", 2)), Kind::Int, 0, ""},
      {PickleText().integer(INT64_MIN).done(), Kind::Int, INT64_MIN, ""},
      {raw(StringRef("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00", 11)), Kind::BigInt, 0, ""},
      {raw("U\x02hi"), Kind::Text, 0, "hi"},
      {raw("\x8c\x02hi"), Kind::Text, 0, "hi"},
      {raw("C\x02hi"), Kind::Bytes, 0, "hi"},
      {raw("G\x3f\xf8......"), Kind::Float, 0, ""},
      {raw("N0\x88"), Kind::Bool, 1, ""},
      {raw("(NN1\x89"), Kind::Bool, 0, ""},
      {raw("\x8f(NN\x90"), Kind::Set, 0, ""},
      {raw("(NN\x91"), Kind::Set, 0, ""},
      {"(Nl.", Kind::List, 0, ""},
      {PickleText().global("known", "inert").raw(")R").done(), Kind::Opaque, 0, ""},
      {PickleText().global("known", "Class").done(), Kind::Global, 0, ""},
      {PickleText().global("known", "Mapping").raw(")R}b").done(), Kind::Dict, 0, ""},
      {PickleText(4).raw("\x95").number(2, 8).raw("N\x94").done(), Kind::None, 0, ""},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    FailureOr<Pickle> pickle = readPickle(row.pickle, "x", kKnown, diags);
    INFO(row.pickle << "\n" << textOf(diags));
    REQUIRE(succeeded(pickle));
    const PickleValue &value = (*pickle)[pickle->root];
    CHECK(value.kind == row.kind);
    CHECK(value.number == row.number);
    CHECK(value.text == row.text);
  }
  // As Python 2 wrote an OrderedDict, and a call.
  std::string text = PickleText()
                         .global("known", "Mapping")
                         .raw("]](Vk\nK\x05"
                              "eaq\x01\x85R")
                         .done();
  Diagnostics diags;
  FailureOr<Pickle> pickle = readPickle(text, "x", kKnown, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(pickle));
  const PickleValue &dict = (*pickle)[pickle->root];
  REQUIRE(dict.kind == Kind::Dict);
  REQUIRE(dict.items.size() == 2);
  CHECK((*pickle)[dict.items[0]].text == "k");
  CHECK((*pickle)[dict.items[1]].number == 5);
}
