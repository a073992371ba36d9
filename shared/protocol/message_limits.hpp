#pragma once

#include <cstddef>

namespace waggle::protocol {

inline constexpr size_t max_message_bytes = 1 << 20;
inline constexpr size_t data_piece_bytes = 256 << 10;
inline constexpr size_t max_want_indices = 4096; // in one message

// Limits on the fields of a JSON message.
inline constexpr size_t max_text_bytes = 16 << 10; // of a log line or sentence; encode cuts longer ones
inline constexpr size_t max_code_bytes = 64;
inline constexpr size_t max_word_bytes = 256; // a version, a system, a fingerprint
inline constexpr size_t max_path_bytes = 4096;
inline constexpr size_t max_signature_bytes = 1024; // an SSHSIG; ours take 180

} // namespace waggle::protocol
