#include "shared/base/bytes.hpp"
#include "shared/protocol/secret_bundle.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

void try_input(std::string_view input) {
    fuzz::accepted([&] {
        const auto bundle = protocol::parse_secret_bundle(input);
        const auto plaintext = protocol::to_plaintext(bundle);
        fuzz::require(protocol::parse_secret_bundle(waggle::as_text(plaintext)) == bundle);
    });
}
