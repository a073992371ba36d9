#include "shared/protocol/json.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_json) {
    fuzz::accepted([&] {
        const std::string once = protocol::dump_json(protocol::parse_json(input, "input"));
        fuzz::require(protocol::dump_json(protocol::parse_json(once, "output")) == once);
    });
    protocol::in_quotes(input);
}
