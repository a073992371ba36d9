#pragma once

#include <optional>
#include <string_view>

namespace waggle::trigger {

// A number with a unit of one character, as in options: "1.5G", "80%", "4096".
struct Quantity {
    double number = 0; // may be negative, infinite or not a number
    char unit = '\0';  // in upper case; '\0': none
};
// Returns nullopt for text of another form.
std::optional<Quantity> parse_quantity(std::string_view text);

// What the units K, M, G and T stand for, in powers of 1024. Returns nullopt for another unit.
std::optional<double> power_of_1024(char unit);

} // namespace waggle::trigger
