#include "exporters/gguf/SentencePiece.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Endian.h"

#include <bit>

using namespace flagrelease;

namespace {
/// One field of a message: its number, and its value as an integer or as bytes.
struct Field {
  uint64_t number = 0;
  uint64_t integer = 0;
  StringRef bytes;
  bool isBytes = false;
  float real() const { return std::bit_cast<float>(static_cast<uint32_t>(integer)); }
};

bool varint(StringRef &rest, uint64_t &out) {
  out = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    uint8_t byte = static_cast<uint8_t>(rest.front());
    rest = rest.drop_front();
    out |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return true;
  }
  return false;
}

/// Calls visit for each field; false when the bytes are no message.
bool forFields(StringRef rest, llvm::function_ref<bool(const Field &)> visit) {
  while (!rest.empty()) {
    uint64_t key = 0, length = 0;
    if (!varint(rest, key) || key >> 3 == 0)
      return false;
    Field field;
    field.number = key >> 3;
    switch (key & 7) {
    case 0:
      if (!varint(rest, field.integer))
        return false;
      break;
    case 1:
      if (rest.size() < 8)
        return false;
      field.integer = llvm::support::endian::read64le(rest.data());
      rest = rest.drop_front(8);
      break;
    case 2:
      if (!varint(rest, length) || length > rest.size())
        return false;
      field.bytes = rest.take_front(length);
      field.isBytes = true;
      rest = rest.drop_front(length);
      break;
    case 5:
      if (rest.size() < 4)
        return false;
      field.integer = llvm::support::endian::read32le(rest.data());
      rest = rest.drop_front(4);
      break;
    default:
      return false;
    }
    if (!visit(field))
      return false;
  }
  return true;
}

bool readPiece(StringRef bytes, SentencePieceModel &model) {
  SentencePieceModel::Piece piece;
  uint64_t type = 1;
  bool fine = forFields(bytes, [&](const Field &field) {
    if (field.number == 1 && field.isBytes)
      piece.text = field.bytes.str();
    else if (field.number == 2)
      piece.score = field.real();
    else if (field.number == 3)
      type = field.integer;
    return true;
  });
  if (!fine || type < 1 || type > 6)
    return false;
  piece.type = static_cast<SentencePieceModel::Type>(type);
  model.pieces.push_back(std::move(piece));
  return true;
}

bool readTrainer(StringRef bytes, SentencePieceModel &model) {
  uint64_t kind = 1;
  bool fine = forFields(bytes, [&](const Field &field) {
    int64_t number = static_cast<int32_t>(field.integer); // a negative int32 is a varint of ten bytes
    switch (field.number) {
    case 3:
      kind = field.integer;
      break;
    case 24:
      model.whitespaceAsSuffix = field.integer != 0;
      break;
    case 35:
      model.byteFallback = field.integer != 0;
      break;
    case 40:
      model.unk = number;
      break;
    case 41:
      model.bos = number;
      break;
    case 42:
      model.eos = number;
      break;
    case 43:
      model.pad = number;
      break;
    default:
      break;
    }
    return true;
  });
  model.kind = static_cast<SentencePieceModel::Kind>(kind);
  return fine && kind >= 1 && kind <= 4;
}

bool readNormalizer(StringRef bytes, SentencePieceModel &model) {
  return forFields(bytes, [&](const Field &field) {
    if (field.number == 1 && field.isBytes)
      model.normalizer = field.bytes.str();
    else if (field.number == 2 && field.isBytes)
      model.charsmap = field.bytes.str();
    else if (field.number == 3)
      model.addDummyPrefix = field.integer != 0;
    else if (field.number == 4)
      model.removeExtraSpaces = field.integer != 0;
    else if (field.number == 5)
      model.escapeSpaces = field.integer != 0;
    return true;
  });
}
} // namespace

FailureOr<SentencePieceModel> flagrelease::readSentencePieceModel(StringRef bytes, StringRef where, Diagnostics &diags) {
  SentencePieceModel model;
  bool fine = forFields(bytes, [&](const Field &field) {
    if (!field.isBytes)
      return true;
    switch (field.number) {
    case 1:
      return readPiece(field.bytes, model);
    case 2:
      return readTrainer(field.bytes, model);
    case 3:
      return readNormalizer(field.bytes, model);
    default:
      return true;
    }
  });
  if (!fine || model.pieces.empty())
    return diags.error(where, "is no SentencePiece model, or is cut short", "fetch the tokenizer's files again");
  return model;
}
