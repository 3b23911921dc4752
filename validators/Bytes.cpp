#include "validators/Bytes.h"

#include "ir/Fr.h"
#include "text/Escape.h"
#include "weights/Cast.h"
#include "weights/Digest.h"
#include "weights/Files.h"
#include "weights/Safetensors.h"
#include "weights/params/ParamEvaluator.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <set>

namespace flagrelease {

namespace {
constexpr size_t kMaxProblems = 100;

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string hexOf(const std::byte *bytes, unsigned width) {
  std::string text = "0x";
  for (unsigned i = width; i-- > 0;) {
    const auto value = static_cast<unsigned>(bytes[i]);
    text += "0123456789abcdef"[value >> 4];
    text += "0123456789abcdef"[value & 15];
  }
  return text;
}

/// What a tensor of the artefact should be, piece by piece, without the vector paths that wrote it.
class Derivation {
public:
  Derivation(const Checkpoint &checkpoint, const std::vector<std::shared_ptr<FileSource>> &sources, ParamEvaluator &evaluator)
      : checkpoint(checkpoint), sources(sources), evaluator(evaluator) {}

  /// By the param of that name, or the one source of an identity. Says what is wrong, or nothing.
  std::string open(const ManifestTensor &tensor, fr::ParamOp found) {
    param = found;
    type = tensor.type;
    std::string weight;
    if (param) {
      auto shape = mlir::cast<mlir::RankedTensorType>(param.getType()).getShape();
      std::optional<DType> declared = dtypeOf(elementOf(param.getType()));
      if (declared != tensor.type || shape != llvm::ArrayRef(tensor.shape))
        return ("the manifest says " + dtypeName(tensor.type) + " " + shapeText(tensor.shape) + ", the module " +
                (declared ? dtypeName(*declared) : "?") + " " + shapeText({shape.begin(), shape.end()}))
            .str();
      if (fr::GetOp get = param.getIdentity()) {
        weight = get.getWeight().getLeafReference().str();
      } else if (auto cast = yielded().getDefiningOp<fr::CastOp>()) {
        if (auto get = cast.getX().getDefiningOp<fr::GetOp>())
          weight = get.getWeight().getLeafReference().str();
      }
    } else if (tensor.expression == "identity" && tensor.sources.size() == 1) {
      weight = tensor.sources.front();
    } else {
      return "the module has no param of this name";
    }
    source = weight.empty() ? nullptr : checkpoint.find(weight);
    if (!weight.empty() && !source)
      return "the source has no tensor " + escape::terminal(weight, 120);
    if (source && source->shape != tensor.shape)
      return "the source's " + escape::terminal(weight, 120) + " has shape " + shapeText(source->shape) + ", the manifest says " +
             shapeText(tensor.shape);
    const bool identity = !param || param.getIdentity();
    if (source && identity && source->type != tensor.type)
      return ("the source's " + escape::terminal(weight, 120) + " is " + dtypeName(source->type) + ", the manifest says " +
              dtypeName(tensor.type) + ", and no cast is planned")
          .str();
    if (source && !identity && !canCast(source->type, type))
      source = nullptr;
    isIdentity = identity;
    rowElements = 1;
    for (size_t d = 1; d < tensor.shape.size(); ++d)
      rowElements *= tensor.shape[d];
    return "";
  }

  bool identity() const { return isIdentity; }
  /// Elements that fill() takes at once are a multiple of this.
  int64_t granule() const { return source ? 1 : std::max<int64_t>(rowElements, 1); }

  LogicalResult fill(int64_t first, int64_t count, std::vector<std::byte> &out, Diagnostics &diags) {
    out.resize(static_cast<size_t>(count) * byteWidth(type));
    if (source) {
      const unsigned width = byteWidth(source->type);
      const uint64_t offset = source->offset + static_cast<uint64_t>(first) * width;
      if (isIdentity)
        return sources[source->file]->read(offset, out, diags);
      scratch.resize(static_cast<size_t>(count) * width);
      if (failed(sources[source->file]->read(offset, scratch, diags)))
        return failure();
      castElements(source->type, scratch.data(), type, out.data(), count, nullptr, CpuLevel::Plain);
      return success();
    }
    return evaluator.readBytes(param, first * byteWidth(type), out, nullptr, diags);
  }

private:
  mlir::Value yielded() { return param.getBody().front().getTerminator()->getOperand(0); }

  const Checkpoint &checkpoint;
  const std::vector<std::shared_ptr<FileSource>> &sources;
  ParamEvaluator &evaluator;
  fr::ParamOp param;
  const CheckpointTensor *source = nullptr;
  DType type = DType::F32;
  bool isIdentity = false;
  int64_t rowElements = 1;
  std::vector<std::byte> scratch;
};

class Checker {
public:
  Checker(const BytesRequest &request, Diagnostics &diags) : request(request), diags(diags) {}

  FailureOr<BytesResult> run() {
    account();
    FailureOr<std::vector<std::shared_ptr<FileSource>>> opened = openSources(request.checkpoint, diags);
    if (failed(opened))
      return failure();
    sources = std::move(*opened);
    openFiles();
    for (fr::ParamOp param : request.module.getOps<fr::ParamOp>())
      params[param.getSymName()] = param;

    // Found by number of tensor, so that the report does not depend on threads.
    const std::vector<ManifestTensor> &tensors = request.manifest.tensors;
    found.resize(tensors.size());
    ParamEvaluator evaluator(request.checkpoint, sources, CpuLevel::Plain);
    LogicalResult done = parallelFor(
        std::max(1u, request.work.jobs), tensors.size(),
        [&](size_t i, Diagnostics &own) { return compare(tensors[i], found[i], evaluator, own); }, diags);
    if (failed(done))
      return failure();
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!found[i].problem.empty())
        problem(tensors[i].name, found[i].problem);
      result.bytesCompared += found[i].bytes;
      result.identical += found[i].identical;
    }
    result.outputTensors = static_cast<int64_t>(tensors.size());
    result.derived = result.outputTensors - result.identical;
    if (result.problemCount > static_cast<int64_t>(result.problems.size()))
      result.problems.push_back("and " + std::to_string(result.problemCount - static_cast<int64_t>(result.problems.size())) +
                                " more");
    return std::move(result);
  }

private:
  struct Found {
    std::string problem;
    uint64_t bytes = 0;
    bool identical = false;
  };

  void problem(StringRef name, const Twine &what) {
    if (result.problemCount++ < static_cast<int64_t>(kMaxProblems))
      result.problems.push_back(escape::terminal(name, 200) + ": " + what.str());
  }

  /// Every tensor of the source is in the artefact, or left out with a reason; and nothing else is claimed as a source.
  void account() {
    std::set<std::string> used;
    for (const ManifestTensor &tensor : request.manifest.tensors)
      for (const std::string &source : tensor.sources) {
        used.insert(source);
        if (!request.checkpoint.find(source))
          problem(tensor.name, "names " + escape::terminal(source, 120) + " as its source, which the checkpoint does not have");
      }
    result.sourceTensors = static_cast<int64_t>(request.checkpoint.tensors.size());
    for (const CheckpointTensor &tensor : request.checkpoint.tensors) {
      if (used.count(tensor.name)) {
        ++result.sourceUsed;
      } else if (auto it = request.left.find(tensor.name); it != request.left.end()) {
        ++result.sourceLeft;
        result.left.insert(*it);
      } else {
        problem(tensor.name, "is in the source, and neither in the artefact nor left out with a reason");
      }
    }
  }

  void openFiles() {
    for (const ManifestFile &file : request.manifest.files) {
      Diagnostics own;
      if (!isContainedPath(file.path)) {
        problem(file.path, "lies outside the artefact");
        continue;
      }
      FailureOr<std::shared_ptr<FileSource>> opened = FileSource::open(request.outFolder + "/" + file.path, own);
      if (succeeded(opened))
        files[file.path] = *opened;
      else
        problem(file.path, own.errors().empty() ? "cannot be opened" : own.errors().front().what);
    }
  }

  LogicalResult compare(const ManifestTensor &tensor, Found &found, ParamEvaluator &evaluator, Diagnostics &own) {
    auto file = files.find(tensor.file);
    if (file == files.end()) {
      found.problem = "its file " + escape::terminal(tensor.file, 120) + " cannot be read or is not listed";
      return success();
    }
    std::optional<uint64_t> bytes = tensorBytes(tensor.type, tensor.shape);
    const uint64_t size = file->second->size();
    if (!bytes || *bytes != tensor.bytes || tensor.offset > size || tensor.bytes > size - tensor.offset) {
      found.problem = "bytes " + std::to_string(tensor.offset) + " to " + std::to_string(tensor.offset + tensor.bytes) +
                      " are not " + dtypeName(tensor.type).str() + " " + shapeText(tensor.shape) + " inside a file of " +
                      std::to_string(size);
      return success();
    }
    Derivation derivation(request.checkpoint, sources, evaluator);
    found.problem = derivation.open(tensor, params.lookup(tensor.name));
    if (!found.problem.empty())
      return success();
    found.identical = derivation.identity();

    // Three buffers per thread: what is on disk, what is derived, and what that is derived from (at most 8 bytes an element).
    const unsigned width = byteWidth(tensor.type);
    const uint64_t share = request.work.memory / std::max(1u, request.work.jobs) / (8 + 2 * width);
    const int64_t granule = derivation.granule(), elements = static_cast<int64_t>(tensor.bytes / width);
    const int64_t step =
        std::max<int64_t>(1, std::clamp<int64_t>(static_cast<int64_t>(share), 4096, 1 << 20) / granule) * granule;
    std::vector<std::byte> expected, onDisk;
    Sha256 hash;
    for (int64_t first = 0; first < elements; first += step) {
      if (request.work.stopping())
        return stopped(own);
      const int64_t count = std::min(step, elements - first);
      onDisk.resize(static_cast<size_t>(count) * width);
      if (failed(file->second->read(tensor.offset + static_cast<uint64_t>(first) * width, onDisk, own)) ||
          failed(derivation.fill(first, count, expected, own)))
        return failure();
      hash.update(onDisk);
      found.bytes += onDisk.size();
      if (request.work.progress)
        request.work.progress->bytesDone += onDisk.size();
      if (onDisk == expected)
        continue;
      int64_t at = 0;
      while (std::equal(onDisk.begin() + at * width, onDisk.begin() + (at + 1) * width, expected.begin() + at * width))
        ++at;
      found.problem = "element " + std::to_string(first + at) + " is " + hexOf(onDisk.data() + at * width, width) +
                      " on disk, the source gives " + hexOf(expected.data() + at * width, width);
      return success();
    }
    if (hash.hex() != tensor.sha256)
      found.problem = "its bytes are what the source gives, and their sha256 is not that of the manifest";
    return success();
  }

  const BytesRequest &request;
  Diagnostics &diags;
  std::vector<std::shared_ptr<FileSource>> sources;
  std::map<std::string, std::shared_ptr<FileSource>> files;
  llvm::StringMap<fr::ParamOp> params;
  std::vector<Found> found;
  BytesResult result;
};
} // namespace

FailureOr<BytesResult> checkBytes(const BytesRequest &request, Diagnostics &diags) { return Checker(request, diags).run(); }

} // namespace flagrelease
