// The messages that either side may receive within a session.

#include "shared/protocol/messages.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_message) {
    fuzz::accepted([&] {
        const protocol::Incoming incoming = protocol::decode(input);
        if (const auto* message = std::get_if<protocol::Message>(&incoming)) {
            const std::string once = protocol::encode(*message);
            const protocol::Incoming again = protocol::decode(once); // the parser must accept what we would send
            fuzz::require(protocol::encode(std::get<protocol::Message>(again)) == once);
        }
    });
}
