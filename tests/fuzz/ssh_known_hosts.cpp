#include "shared/ssh/known_hosts.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;

FUZZ_TARGET(ssh_known_hosts) {
    for (const int port : {22, 2222}) {
        const ssh::KnownHost found = ssh::find_known_host(input, "alpha.hive", static_cast<std::uint16_t>(port));
        for (const ssh::PublicKey& key : found.keys)
            fuzz::require(std::find(found.revoked.begin(), found.revoked.end(), key) == found.revoked.end());
        if (!found.keys.empty() || !found.revoked.empty())
            fuzz::note_taken();
    }
}
