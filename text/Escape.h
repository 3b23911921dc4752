// Names come from files that strangers wrote. These make them safe to show: no control character, no bidirectional override
// (Trojan Source, CVE-2021-42574), no invalid UTF-8 reaches a terminal, and no markup takes effect in a report.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace flagrelease::escape {

/// For terminals and log lines: control and format characters become \n, \t, \xNN or \u{NNNN}; invalid bytes \xNN.
/// Text longer than `maxBytes` is cut with "…".
std::string terminal(llvm::StringRef text, size_t maxBytes = 4096);
/// For HTML text and attribute values in either quote.
std::string html(llvm::StringRef text);
/// For running text in Markdown (CommonMark): punctuation that can start markup is backslash-escaped, line ends become spaces.
std::string markdown(llvm::StringRef text);
/// One word of a POSIX shell's command line, quoted where it must be. What a terminal must not get stands as $'\\x1b' (bash, zsh,
/// and POSIX since 2024): the word that the shell reads is `text`, byte by byte.
std::string shell(llvm::StringRef text);
/// For a YAML scalar on one line.
std::string yaml(llvm::StringRef text);

/// Length of the valid UTF-8 sequence at the start of `text` (1 to 4), 0 if there is none; `codePoint` gets its value.
unsigned decodeUtf8(llvm::StringRef text, uint32_t &codePoint);

} // namespace flagrelease::escape
