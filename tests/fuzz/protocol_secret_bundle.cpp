#include "shared/base/bytes.hpp"
#include "shared/protocol/secret_bundle.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_secret_bundle) {
    fuzz::accepted([&] {
        const auto bundle = protocol::parse_secret_bundle(input);
        const auto plaintext = protocol::to_plaintext(bundle);
        fuzz::require(protocol::parse_secret_bundle(waggle::as_text(plaintext)) == bundle);
    });
}
