#pragma once

#include "shared/protocol/json.hpp"
#include "shared/protocol/message_limits.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// Helpers that write and read the messages' JSON.
namespace waggle::protocol {

// Cuts text that may be long, so that it never exceeds the other side's caps. When sent, bytes that are not UTF-8 take
// three times the space (U+FFFD for each byte), which text() allows for.
inline std::string_view cut(std::string_view text, size_t max_bytes = max_text_bytes) {
    return text.substr(0, max_bytes);
}

inline std::string text(Fields& fields, std::string_view key, size_t max_bytes = max_text_bytes) {
    return fields.string(key, 3 * max_bytes);
}

inline std::uint64_t number(Fields& fields, std::string_view key, std::uint64_t min = 0) {
    return static_cast<std::uint64_t>(fields.integer(key, static_cast<std::int64_t>(min)));
}

} // namespace waggle::protocol
