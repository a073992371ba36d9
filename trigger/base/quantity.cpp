#include "trigger/base/quantity.hpp"

#include <cctype>
#include <charconv>
#include <system_error>

namespace waggle::trigger {

std::optional<Quantity> parse_quantity(std::string_view text) {
    Quantity quantity;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, quantity.number, std::chars_format::fixed);
    if (error != std::errc() || end - rest > 1)
        return std::nullopt;
    if (rest != end)
        quantity.unit = static_cast<char>(std::toupper(static_cast<unsigned char>(*rest)));
    return quantity;
}

std::optional<double> power_of_1024(char unit) {
    switch (unit) {
    case 'K': return 1 << 10;
    case 'M': return 1 << 20;
    case 'G': return 1 << 30;
    case 'T': return 1024.0 * (1 << 30);
    default: return std::nullopt;
    }
}

} // namespace waggle::trigger
