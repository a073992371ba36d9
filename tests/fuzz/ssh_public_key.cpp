#include "shared/ssh/key.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;

void try_input(std::string_view input) {
    fuzz::accepted([&] {
        const ssh::PublicKey key = ssh::PublicKey::parse(input);
        fuzz::require(ssh::PublicKey::parse(key.to_string()) == key);
    });
    fuzz::accepted([&] { fuzz::require(ssh::PublicKey::from_wire(input).wire() == input); });
}
