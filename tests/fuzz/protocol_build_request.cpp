#include "shared/protocol/build_request.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

void try_input(std::string_view input) {
    fuzz::accepted([&] {
        const std::string once = protocol::to_payload(protocol::parse_build_request(input));
        fuzz::require(protocol::to_payload(protocol::parse_build_request(once)) == once);
    });
}
