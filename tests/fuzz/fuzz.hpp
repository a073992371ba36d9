#pragma once

// What every fuzzer in this folder is made of. A fuzzer is one file with a function
//
//     void try_input(std::string_view input);
//
// that hands the input to a parser. What the parser refuses by one of our errors is fine. Another exception, a crash, a
// finding of a sanitizer, or a `require` that does not hold ends the program: it is a finding.

#include "shared/base/error.hpp"

#include <cstddef>
#include <cstdlib>
#include <string_view>

void try_input(std::string_view input);

namespace waggle::fuzz {

inline size_t times_taken = 0; // what tests/fuzz/replay.cpp looks at

// For a fuzzer that does without `accepted`: the parser took the input.
inline void note_taken() {
    ++times_taken;
}

// True when the parser took it.
template <class Call>
bool accepted(Call call) {
    try {
        call();
        note_taken();
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
