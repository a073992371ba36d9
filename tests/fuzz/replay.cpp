// Passes a fuzzer its seeds, and each of them cut and changed in a few ways. A test run without libFuzzer does this.
//
//     fuzz_seeds NAME FOLDER
//
// The parser must accept each seed, or a fuzzer that begins with it would have to guess the format first. A seed that
// must be refused is named "bad-…".

#include "shared/base/file.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

namespace {

constexpr size_t max_seed_bytes = 4 << 20;
constexpr size_t changes_per_seed = 400;

// A small generator that yields the same numbers in every run (xorshift64, Marsaglia 2003).
class Numbers {
public:
    size_t below(size_t limit) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<size_t>(state_ % limit);
    }

private:
    std::uint64_t state_ = 88172645463325252;
};

void try_changed(const waggle::fuzz::Target& target, const std::string& seed, Numbers& numbers) {
    for (size_t i = 0; i < changes_per_seed && !seed.empty(); ++i) {
        target.try_input(std::string_view(seed).substr(0, numbers.below(seed.size())));
        std::string changed = seed;
        const size_t at = numbers.below(changed.size());
        switch (i % 3) {
        case 0: changed[at] = static_cast<char>(numbers.below(256)); break;
        case 1: changed.erase(at, numbers.below(16)); break;
        default: changed.insert(at, seed.substr(numbers.below(seed.size()), 16)); break;
        }
        target.try_input(changed);
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto& targets = waggle::fuzz::targets();
    const auto target =
        argc == 3 ? std::ranges::find(targets, std::string_view(argv[1]), &waggle::fuzz::Target::name) : targets.end();
    if (target == targets.end()) {
        fmt::print(stderr, "usage: {} NAME FOLDER, with the name of a fuzzer\n", argv[0]);
        return 2;
    }
    size_t count = 0;
    bool wrong = false;
    Numbers numbers;
    target->try_input("");
    for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
        const std::string seed = waggle::read_file(entry.path(), max_seed_bytes);
        const size_t taken_before = waggle::fuzz::times_taken;
        target->try_input(seed);
        const bool is_bad = entry.path().filename().string().starts_with("bad-");
        if ((waggle::fuzz::times_taken == taken_before) != is_bad) {
            fmt::print(stderr, "{}: is {}\n", entry.path().string(), is_bad ? "taken" : "refused");
            wrong = true;
        }
        try_changed(*target, seed, numbers);
        ++count;
    }
    fmt::print("{} seeds\n", count);
    return count == 0 || wrong ? 1 : 0;
}
