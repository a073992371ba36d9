#include "shared/protocol/build_request.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_build_request) {
    fuzz::accepted([&] {
        const std::string once = protocol::to_payload(protocol::parse_build_request(input));
        fuzz::require(protocol::to_payload(protocol::parse_build_request(once)) == once);
    });
}
