// The input as a key file, and as the bytes between the marks of one.

#include "shared/base/bytes.hpp"
#include "shared/ssh/key.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;
using waggle::to_base64;

namespace {

void try_file(std::string_view text) {
    fuzz::accepted([&] {
        const ssh::PrivateKey key = ssh::PrivateKey::parse(text, "input");
        fuzz::require(ssh::PrivateKey::parse(key.to_openssh("x"), "output").public_key() == key.public_key());
    });
}

} // namespace

FUZZ_TARGET(ssh_private_key) {
    try_file(input);
    try_file("-----BEGIN OPENSSH PRIVATE KEY-----\n" + to_base64(input) + "\n-----END OPENSSH PRIVATE KEY-----\n");
}
