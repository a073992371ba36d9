// An SSHSIG of somebody who does not have the key must not hold.

#include "shared/ssh/sshsig.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace waggle;

void try_input(std::string_view input) {
    fuzz::accepted([&] { ssh::sshsig_verify(input, "waggle-session", "dance"); });
}
