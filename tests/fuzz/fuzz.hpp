#pragma once

// What every fuzzer in this folder is made of. A fuzzer is one file with a function
//
//     void try_input(std::string_view input);
//
// that hands the input to a parser. What the parser refuses by one of our errors is fine. Another exception, a crash, a
// finding of a sanitizer, or a `require` that does not hold ends the program: it is a finding.

#include "shared/base/error.hpp"

#include <cstdlib>
#include <string_view>

void try_input(std::string_view input);

namespace waggle::fuzz {

// True when the parser took it.
template <class Call>
bool accepted(Call call) {
    try {
        call();
        return true;
    } catch (const Error&) {
        return false;
    }
}

inline void require(bool holds) {
    if (!holds)
        std::abort();
}

} // namespace waggle::fuzz
