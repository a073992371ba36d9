#include "shared/protocol/deployment.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_deployment) {
    fuzz::accepted([&] {
        const std::string once = protocol::to_payload(protocol::parse_deployment(input));
        fuzz::require(protocol::to_payload(protocol::parse_deployment(once)) == once);
    });
}
