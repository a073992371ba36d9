#include "shared/protocol/deployment.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace waggle;

void try_input(std::string_view input) {
    fuzz::accepted([&] {
        const std::string once = protocol::to_payload(protocol::parse_deployment(input));
        fuzz::require(protocol::to_payload(protocol::parse_deployment(once)) == once);
    });
}
