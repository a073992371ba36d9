// A list that matches its summary, in pieces. Writing an accepted list again must yield the same text.

#include "shared/base/hash.hpp"
#include "shared/protocol/closure_list.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

namespace fuzz = waggle::fuzz;
namespace nix = waggle::nix;
namespace protocol = waggle::protocol;
using waggle::sha256;

FUZZ_TARGET(protocol_closure_list) {
    const auto lines = static_cast<std::uint64_t>(std::count(input.begin(), input.end(), '\n'));
    const protocol::ClosureSummary summary{sha256(input), input.size(), lines};
    const nix::StorePath toplevel = nix::StorePath::parse("00000000000000000000000000000000-system");
    fuzz::accepted([&] {
        protocol::ClosureListReader reader(summary, toplevel);
        const size_t half = input.size() / 2;
        reader.update(input.substr(0, half));
        reader.update(input.substr(half));
        const protocol::ClosureList list = reader.finish();
        fuzz::require(list.size() == lines);
        fuzz::require(protocol::to_text(list) == input);
    });
}
