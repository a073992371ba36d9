// Output of the nix daemon goes into logs and to operators: no escapes, no control characters, within its cap.

#include "shared/nix/plain_text.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

FUZZ_TARGET(nix_plain_text) {
    constexpr size_t cap = 200;
    const std::string text = waggle::nix::plain_text(input, cap);
    waggle::fuzz::require(text.size() <= cap + 8); // "…"
    waggle::fuzz::require(std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    }));
    waggle::fuzz::note_taken();
}
