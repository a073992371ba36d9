// The answers of an ssh-agent.

#include "shared/ssh/agent.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace ssh = waggle::ssh;

FUZZ_TARGET(ssh_agent) {
    fuzz::accepted([&] { ssh::parse_agent_keys(input); });
    fuzz::accepted([&] { ssh::parse_agent_signature(input); });
}
