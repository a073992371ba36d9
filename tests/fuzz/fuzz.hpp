#pragma once

// Helpers of every fuzzer in this folder. A fuzzer is one file, named after it, with
//
//     FUZZ_TARGET(name) {
//         // passes `input` to a parser
//     }
//
// The parser may refuse the input with one of our errors. Another exception, a crash, a finding of a sanitizer, or a
// `require` that does not hold ends the program: it is a finding.

#include "shared/base/error.hpp"

#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace waggle::fuzz {

struct Target {
    std::string_view name;
    void (*try_input)(std::string_view input);
};

// The fuzzers that this program has.
inline std::vector<Target>& targets() {
    static std::vector<Target> all;
    return all;
}

struct Registration {
    explicit Registration(const Target& target) { targets().push_back(target); }
};

inline size_t times_taken = 0; // checked by tests/fuzz/replay.cpp

// For a fuzzer that does not use `accepted`: records that the parser accepted the input.
inline void note_taken() {
    ++times_taken;
}

// Returns true if the parser accepted the input.
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

#define FUZZ_TARGET(name)                                                                                              \
    static void fuzz_##name(std::string_view input);                                                                   \
    static const waggle::fuzz::Registration registration_of_##name({#name, fuzz_##name});                              \
    static void fuzz_##name(std::string_view input)
