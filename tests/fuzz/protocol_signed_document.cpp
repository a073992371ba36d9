#include "shared/protocol/signed_document.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

namespace fuzz = waggle::fuzz;
namespace protocol = waggle::protocol;

FUZZ_TARGET(protocol_signed_document) {
    fuzz::accepted([&] {
        const auto document = protocol::signed_document_from_json(protocol::parse_json(input, "input"));
        protocol::valid_signers(document);
        const auto again = protocol::signed_document_from_json(protocol::to_json(document));
        fuzz::require(again.id() == document.id());
    });
}
