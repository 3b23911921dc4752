// Speed of quantising while weights are written: GB of input (BF16) per second of wall time and per second of processor time
// (which other programs disturb less), as a table in Markdown; the best of several runs. writeStream hashes what it writes twice.
// The checkpoint lies in a folder of its own, in the page cache, and is removed at the end.
//
//   flagrelease-bench-quantise FOLDER [MB of the checkpoint, default 512] [SCHEME...]
#include "ir/BlockFormat.h"
#include "weights/Fingerprint.h"
#include "weights/Safetensors.h"
#include "weights/StreamWriter.h"
#include "weights/params/ParamEvaluator.h"

#include "mlir/Parser/Parser.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

using namespace flagrelease;

namespace {
constexpr int64_t kRows = 4096, kColumns = 4096;
constexpr uint64_t kPiece = uint64_t(4) << 20;
constexpr int kRuns = 3;

double processSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double wallSeconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Sums of two uniform numbers, about as weights are spread.
HostTensor weightLike(uint64_t seed) {
  HostTensor tensor(DType::BF16, {kRows, kColumns});
  uint64_t state = seed;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto sum = static_cast<int32_t>(state >> 48) + static_cast<int32_t>(state >> 32 & 0xFFFF) - 65535;
    tensor.as<uint16_t>()[i] = f32ToBf16(static_cast<float>(sum) * 0x1p-20f);
  }
  return tensor;
}

struct Scheme {
  std::string name, result, body; ///< the body gives %r from %x, f32 [4096,4096]
};

std::string quantised(const std::string &range, const std::string &blocks, const std::string &counts,
                      const std::string &element) {
  const std::string x = "tensor<4096x4096xf32>", scales = "tensor<" + counts + "xf32>";
  return "%s = fr.quant_scale %x abs_max range " + range + " blocks " + blocks + " : (" + x + ") -> " + scales +
         "\n%q = fr.quantize %x, %s range " + range + " blocks " + blocks + " : (" + x + ", " + scales +
         ") -> tensor<4096x4096x" + element + ">\n";
}

std::vector<Scheme> schemes() {
  std::vector<Scheme> all = {
      {"cast to f32", "tensor<4096x4096xf32>", "%r = fr.cast %x : (tensor<4096x4096xf32>) -> tensor<4096x4096xf32>\n"},
      {"int8 per row", "tensor<4096x4096xi8>", quantised("-127.0 to 127.0", "[1, 4096]", "4096x1", "i8")},
      {"int8 per tensor", "tensor<4096x4096xi8>", quantised("-127.0 to 127.0", "[4096, 4096]", "1x1", "i8")},
      {"int8, the scales", "tensor<4096x1xf32>", quantised("-127.0 to 127.0", "[1, 4096]", "4096x1", "i8")},
      {"int4 per 128", "tensor<4096x512xi32>",
       quantised("-8.0 to 7.0", "[1, 128]", "4096x32", "i8") +
           "%r = fr.pack %q bits 4 low_first axis 1 : (tensor<4096x4096xi8>) -> tensor<4096x512xi32>\n"},
      {"int4 per 128, awq", "tensor<4096x512xi32>",
       quantised("-8.0 to 7.0", "[1, 128]", "4096x32", "i8") +
           "%r = fr.pack %q bits 4 awq axis 1 : (tensor<4096x4096xi8>) -> tensor<4096x512xi32>\n"},
      {"fp8 per 128 x 128", "tensor<4096x4096xf8E4M3FN>", quantised("-448.0 to 448.0", "[128, 128]", "32x32", "f8E4M3FN")},
  };
  for (const char *format : {"q8_0", "q4_0", "q4_k"}) {
    const std::string result = "tensor<4096x" + std::to_string(blockInfo(*parseBlockFormat(format)).byteSize(kColumns)) + "xui8>";
    all.push_back(
        {format, result, "%r = fr.encode %x \"" + std::string(format) + "\" : (tensor<4096x4096xf32>) -> " + result + "\n"});
  }
  return all;
}

std::string moduleOf(const Scheme &scheme, int64_t count) {
  std::string text = "fr.weights @s {\n";
  for (int64_t i = 0; i < count; ++i)
    text += "fr.weight @w" + std::to_string(i) + " : tensor<4096x4096xbf16>\n";
  text += "}\n";
  const std::string last = scheme.body.find("%r") != std::string::npos       ? "%r"
                           : scheme.name.find("scales") != std::string::npos ? "%s"
                                                                             : "%q";
  for (int64_t i = 0; i < count; ++i)
    text += "fr.param @p" + std::to_string(i) + " : " + scheme.result + " {\n%w = fr.get @s::@w" + std::to_string(i) +
            " : tensor<4096x4096xbf16>\n%x = fr.cast %w : (tensor<4096x4096xbf16>) -> tensor<4096x4096xf32>\n" + scheme.body +
            "fr.yield " + last + " : " + scheme.result + "\n}\n";
  return text;
}

int fail(const Diagnostics &diags) {
  for (const Problem &problem : diags.errors())
    std::fprintf(stderr, "%s: %s\n", problem.where.c_str(), problem.what.c_str());
  return 2;
}
} // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "flagrelease-bench-quantise FOLDER [MB] [SCHEME...]\n");
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/flagrelease-bench-quantise";
  std::filesystem::create_directories(folder + "/in");
  struct Remove {
    std::string path;
    ~Remove() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } remove{folder};
  const int64_t count = std::max<int64_t>(1, (argc > 2 ? std::atoll(argv[2]) : 512) * 1000000 / (kRows * kColumns * 2));
  Diagnostics diags;
  NamedTensors tensors;
  for (int64_t i = 0; i < count; ++i)
    tensors["w" + std::to_string(i)] = weightLike(static_cast<uint64_t>(i) + 1);
  if (failed(writeSafetensors(folder + "/in/model.safetensors", tensors, {}, diags)))
    return fail(diags);
  tensors.clear();
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder + "/in", diags);
  if (failed(checkpoint))
    return fail(diags);
  const double gigabytes = static_cast<double>(count * kRows * kColumns * 2) / 1e9;
  std::printf("%.2f GB of BF16\n\n| to | evaluator alone | 1 job, wall | processor | 2 jobs, wall | processor "
              "|\n|---|---|---|---|---|---|\n",
              gigabytes);
  for (const Scheme &scheme : schemes()) {
    bool wanted = argc <= 3;
    for (int i = 3; i < argc; ++i)
      wanted |= scheme.name.find(argv[i]) != std::string::npos;
    if (!wanted)
      continue;
    mlir::MLIRContext context;
    context.loadDialect<fr::FrDialect>();
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(moduleOf(scheme, count), &context);
    if (!module)
      return 2;
    ParamEvaluator evaluator(*checkpoint, *openSources(*checkpoint, diags));
    PlannedFile file;
    file.path = "weights";
    for (fr::ParamOp param : module->getOps<fr::ParamOp>()) {
      llvm::ArrayRef<int64_t> shape = mlir::cast<mlir::RankedTensorType>(param.getType()).getShape();
      PlannedTensor tensor;
      tensor.name = param.getSymName().str();
      tensor.type = *dtypeOf(elementOf(param.getType()));
      tensor.shape = {shape.begin(), shape.end()};
      tensor.fileOffset = file.bytes;
      tensor.bytes = HostTensor(tensor.type, tensor.shape).bytes.size();
      tensor.grain = ParamEvaluator::grainOf(param);
      tensor.hint = [&evaluator, param](int64_t first, uint64_t bytes) { evaluator.willNeed(param, first, bytes); };
      tensor.producer = [&evaluator, param](int64_t first, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &d) {
        return evaluator.readBytes(param, first, bytes, nullptr, d);
      };
      file.bytes += tensor.bytes;
      file.tensors.push_back(std::move(tensor));
    }
    // The evaluator alone, in pieces as writeStream wants them.
    double alone = 1e30;
    std::vector<std::byte> piece;
    for (int run = 0; run < kRuns; ++run) {
      const double start = processSeconds();
      for (const PlannedTensor &tensor : file.tensors)
        for (uint64_t at = 0; at < tensor.bytes; at += kPiece) {
          piece.resize(std::min(kPiece, tensor.bytes - at));
          if (failed(tensor.producer(static_cast<int64_t>(at), piece, diags)))
            return fail(diags);
        }
      alone = std::min(alone, processSeconds() - start);
    }
    std::printf("| %s | %.2f |", scheme.name.c_str(), gigabytes / alone);
    for (unsigned jobs : {1u, 2u}) {
      double wall = 1e30, processor = 1e30;
      for (int run = 0; run < kRuns; ++run) {
        std::filesystem::remove_all(folder + "/out");
        OutputOptions options;
        options.path = folder + "/out";
        Fingerprint fingerprint;
        fingerprint.add("tool", "bench");
        FailureOr<std::unique_ptr<OutputFolder>> out = OutputFolder::open(options, fingerprint, diags);
        if (failed(out))
          return fail(diags);
        WorkOptions work;
        work.jobs = jobs;
        const double wallStart = wallSeconds(), start = processSeconds();
        if (failed(writeStream(**out, file, work, diags)))
          return fail(diags);
        wall = std::min(wall, wallSeconds() - wallStart), processor = std::min(processor, processSeconds() - start);
      }
      std::printf(" %.2f | %.2f |", gigabytes / wall, gigabytes / processor);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}
