// A checkpoint's tokenizer as key-values of a GGUF file (tokenizer.ggml.*, tokenizer.chat_template).
//
// Sources, in this order: tokenizer.json of a byte-level BPE; tokenizer.model (SentencePiece); tokenizer.json of another kind
// that says the same as a SentencePiece model. Beside them tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// chat_template.jinja and the token ids of config.json. No file: a vocabulary without texts.
// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md ("Tokenizer"); what they mean: llama.cpp, src/llama-vocab.cpp.
#pragma once

#include "recipes/PreTokenizers.h"
#include "text/Json.h"
#include "weights/GgufValue.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// tokenizer.ggml.token_type
enum class GgufTokenType : int32_t { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

struct GgufVocabulary {
  std::string model, pre; ///< `pre` of byte-level BPE only
  std::vector<std::string> tokens;
  std::vector<float> scores; ///< empty, or one for each token
  std::vector<GgufTokenType> types;
  std::vector<std::string> merges;
  std::optional<bool> addSpacePrefix, removeExtraSpaces, addBos, addEos;
  std::string charsmap;               ///< of a unigram model: its normaliser, as SentencePiece stores it
  std::map<std::string, int64_t> ids; ///< "bos", "eos", …, as the model file has them
};

struct TokenizerRequest {
  std::string folder; ///< of the checkpoint
  int64_t rows = 0;   ///< of the embedding: what is missing becomes unused tokens [PADn]
  const json::Object *config = nullptr;
  const TokenizerTable *table = nullptr;
};

/// Adds the keys to `out`. A tokenizer that the format or its engine would change is a problem that says in what.
LogicalResult addTokenizer(const TokenizerRequest &request, GgufKeyValues &out, Diagnostics &diags);

/// The files of a tokenizer that are JSON, read once; null values where a file is absent.
struct TokenizerFiles {
  json::Value tokenizer, config, specialMap, addedTokens;
  static FailureOr<TokenizerFiles> read(const std::string &folder, Diagnostics &diags);
};

// The three kinds (TokenizerBytes.cpp, TokenizerPieces.cpp). `rows` and padding are the caller's.
bool isByteLevel(const json::Value &tokenizer);
LogicalResult readByteLevel(const TokenizerFiles &files, const TokenizerTable &table, GgufVocabulary &out, Diagnostics &diags);
LogicalResult readSentencePiece(StringRef bytes, StringRef path, const TokenizerFiles &files, const TokenizerTable &table,
                                GgufVocabulary &out, Diagnostics &diags);
LogicalResult readPiecesJson(const TokenizerFiles &files, const TokenizerTable &table, GgufVocabulary &out, Diagnostics &diags);

/// Tokens that stand beside the vocabulary: `added_tokens` of tokenizer.json, `added_tokens_decoder` of its config, and
/// added_tokens.json. Special ones become control tokens, others user-defined ones.
LogicalResult addAddedTokens(const TokenizerFiles &files, GgufVocabulary &out, Diagnostics &diags);

} // namespace flagrelease
