#pragma once

#include "shared/nix/path_info.hpp"
#include "shared/protocol/deployment.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// A path of a closure, with the properties that its NAR must have.
struct ClosureEntry {
    nix::StorePath path;
    Sha256Digest nar_hash{};
    std::uint64_t nar_size = 0;
    std::vector<std::uint32_t> references; // indices into the list, none greater than its own
    bool operator==(const ClosureEntry&) const = default;
};

// Every path of a closure, references before referrers, including the toplevel. The text has one line per path:
// "<base name> <NAR SHA-256, 64 hex digits> <NAR bytes> <reference indices, comma separated, or ->\n".
using ClosureList = std::vector<ClosureEntry>;

// `closure` must be in the order of nix::query_closure.
ClosureList make_closure_list(const std::vector<nix::PathInfo>& closure);
std::string to_text(const ClosureList& list);
ClosureSummary summarize(std::string_view text, const ClosureList& list);
nix::PathInfo path_info(const ClosureList& list, std::uint32_t index);

// Reads a closure list piece by piece and verifies it against a signed summary: length, hash, number of paths, closed
// under references (which come first, so there is no cycle), no path twice, the toplevel contained. Throws BadDocument
// with the line's number.
class ClosureListReader {
public:
    ClosureListReader(const ClosureSummary& expected, const nix::StorePath& toplevel);
    void update(std::string_view text);
    bool complete() const; // all bytes have arrived
    ClosureList finish();

private:
    void read_line(std::string_view line);

    ClosureSummary expected_;
    nix::StorePath toplevel_;
    Sha256 hash_;
    std::uint64_t bytes_ = 0;
    std::string rest_; // an unfinished line
    ClosureList list_;
};

} // namespace waggle::protocol
