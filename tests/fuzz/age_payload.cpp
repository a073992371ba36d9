// A payload that was changed, cut, or reassembled from its own chunks is never opened, not even in part.

#include "shared/age/age.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace fuzz = waggle::fuzz;
namespace age = waggle::age;

namespace {

constexpr size_t sealed_chunk_bytes = (64 << 10) + 16;

// Reads from the first bytes of the input how to change the payload.
class Plan {
public:
    explicit Plan(std::string_view& input) : input_(input) {}
    size_t number(size_t limit) { // 0 … limit - 1
        std::uint32_t value = 0;
        for (int i = 0; i < 3 && !input_.empty(); ++i) {
            value = value << 8 | static_cast<std::uint8_t>(input_.front());
            input_.remove_prefix(1);
        }
        return limit == 0 ? 0 : value % limit;
    }

private:
    std::string_view& input_;
};

} // namespace

FUZZ_TARGET(age_payload) {
    static const std::vector<age::Identity> identities = [] {
        std::vector<age::Identity> one;
        one.push_back(age::Identity::generate());
        return one;
    }();
    static const std::vector<age::Recipient> recipients = {identities[0].recipient()};

    Plan plan(input);
    const size_t kind = plan.number(6);
    const size_t a = plan.number(1 << 24);
    const size_t b = plan.number(1 << 24);
    std::vector<std::uint8_t> plaintext(plan.number(200'000));
    for (size_t i = 0; i < plaintext.size(); ++i)
        plaintext[i] = input.empty() ? 0 : static_cast<std::uint8_t>(input[i % input.size()]);

    const auto sealed = age::seal(plaintext, recipients);
    std::string file(sealed.begin(), sealed.end());
    const size_t header = file.find('\n', file.find("\n--- ") + 1) + 1 + 16;
    const std::string original = file;
    const size_t chunks = (file.size() - header + sealed_chunk_bytes - 1) / sealed_chunk_bytes;
    const auto chunk = [&](size_t i) { return original.substr(header + i * sealed_chunk_bytes, sealed_chunk_bytes); };
    switch (kind) {
    case 0: break;
    case 1: file.resize(header - 16 + a % (file.size() - header + 17)); break;
    case 2: file[a % file.size()] ^= static_cast<char>(1 << b % 8); break;
    case 3: file += original.substr(header + a % (original.size() - header)); break;
    case 4: file = original.substr(0, header) + chunk(a % chunks) + chunk(b % chunks); break;
    default: file = original.substr(0, header) + std::string(input); break;
    }
    const bool opened = fuzz::accepted([&] {
        const auto got = age::open(file, identities);
        fuzz::require(std::ranges::equal(got, plaintext));
    });
    fuzz::require(opened == (file == original));
    fuzz::note_taken(); // any input is a plan
}
