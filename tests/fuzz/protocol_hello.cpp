// The first message of an unknown client, and one with a valid signature: the parser behind it reads what an operator's
// key signed.

#include "shared/base/bytes.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/sshsig.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;
namespace ssh = waggle::ssh;
using waggle::to_base64;

FUZZ_TARGET(protocol_hello) {
    static const ssh::PrivateKey key = ssh::PrivateKey::generate();
    fuzz::accepted([&] { protocol::parse_challenge(input); });
    fuzz::accepted([&] { protocol::verify_hello(input); });
    fuzz::accepted([&] {
        const std::string signature = ssh::sshsig_sign(key, protocol::session_namespace, input);
        const auto verified = protocol::verify_hello(
            protocol::dump_json({{"payload", to_base64(input)}, {"signature", to_base64(signature)}}));
        fuzz::require(verified.operator_key == key.public_key());
    });
}
