#include "shared/ssh/key.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;

FUZZ_TARGET(ssh_public_key) {
    fuzz::accepted([&] {
        const ssh::PublicKey key = ssh::PublicKey::parse(input);
        fuzz::require(ssh::PublicKey::parse(key.to_string()) == key);
    });
    fuzz::accepted([&] { fuzz::require(ssh::PublicKey::from_wire(input).wire() == input); });
}
