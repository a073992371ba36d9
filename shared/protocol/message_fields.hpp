#pragma once

#include "shared/protocol/json.hpp"
#include "shared/protocol/message_limits.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// What the messages' JSON is written and read with.
namespace waggle::protocol {

// Cuts what may be long, so that the other side's caps never refuse it. What is not UTF-8 takes three times the room
// when it is sent (U+FFFD for each byte): text() allows for that.
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
