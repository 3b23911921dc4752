// Inputs that the caller of a model makes when nobody gives them, by their names in transformers: masks of what is real, and the
// kind of each token.
#pragma once

#include "ir/HostTensor.h"

#include "llvm/ADT/StringRef.h"

#include <map>
#include <optional>
#include <string>

namespace flagrelease {

/// Whether an input of this name can be made: *attention_mask, pixel_mask, token_type_ids, position_ids, cache_position and
/// caches.
bool isMadeInput(llvm::StringRef name);

/// `NAMEattention_mask`: ones, one for each of NAMEinput_ids (else of input_ids, input_values or the frames of input_features);
/// pixel_mask, pixel_attention_mask: ones, one for each pixel; token_type_ids: zeros. Nothing for any other name, or when what it
/// follows from is not given.
std::optional<HostTensor> makeInput(llvm::StringRef name, const std::map<std::string, HostTensor> &given);

} // namespace flagrelease
