// An SSHSIG that was made without the key must not be valid.

#include "shared/ssh/sshsig.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;

FUZZ_TARGET(ssh_signature) {
    fuzz::accepted([&] { ssh::sshsig_verify(input, "waggle-session", "dance"); });
}
