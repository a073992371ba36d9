#include "shared/protocol/name.hpp"

#include <algorithm>

namespace waggle::protocol {

namespace {

constexpr size_t max_name_bytes = 64; // a host name's label has 63; a file name holds it with any extension

} // namespace

bool is_letter_or_digit(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= max_name_bytes && is_letter_or_digit(text.front()) &&
           text.find("..") == text.npos &&
           std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

} // namespace waggle::protocol
