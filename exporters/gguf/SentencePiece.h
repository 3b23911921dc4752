// A SentencePiece model file (tokenizer.model): the protobuf message ModelProto, read by its wire format.
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
#pragma once

#include "text/Diagnostics.h"

#include <string>
#include <vector>

namespace flagrelease {

struct SentencePieceModel {
  enum class Type { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::Normal;
  };
  std::vector<Piece> pieces;
  // TrainerSpec
  enum class Kind { Unigram = 1, Bpe, Word, Char };
  Kind kind = Kind::Unigram;
  bool byteFallback = false, whitespaceAsSuffix = false;
  int64_t unk = 0, bos = 1, eos = 2, pad = -1;
  // NormalizerSpec
  std::string normalizer, charsmap;
  bool addDummyPrefix = true, removeExtraSpaces = true, escapeSpaces = true;
};

/// Unknown fields are skipped, as protobuf does; what is cut short or malformed is a problem at `where`.
FailureOr<SentencePieceModel> readSentencePieceModel(StringRef bytes, StringRef where, Diagnostics &diags);

} // namespace flagrelease
