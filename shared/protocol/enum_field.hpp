#pragma once

#include "shared/base/enum_text.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace waggle::protocol {

// Reads a field that holds one of the texts. Throws BadDocument for any other.
template <class E, E last>
E read_enum(Fields& fields, std::string_view key, const EnumText<E, last>& texts, size_t max_bytes = 4096) {
    const std::string text = fields.string(key, max_bytes);
    const auto value = texts.parse(text);
    if (!value)
        fields.fail(key, fmt::format("has the unknown value {}", in_quotes(text)));
    return *value;
}

} // namespace waggle::protocol
