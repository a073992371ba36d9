#pragma once

#include "agent/daemon/unsynced_paths.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/not_activated.hpp"
#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/messages.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Where a deployment's closure list and NARs come from: the session that runs it. Every call may throw
// net::ConnectionLost, TimedOut, Interrupted (the operator cancelled) or protocol::BadDocument.
class Feed {
public:
    virtual ~Feed() = default;

    // The next piece of the closure list's text; valid until the next call.
    virtual std::string_view next_list_piece() = 0;
    // The next piece of the sealed secrets; valid until the next call.
    virtual std::string_view next_bundle_piece() = 0;
    virtual void want(std::vector<std::uint32_t> indices) = 0;
    // The next piece of a wanted NAR; valid until the next call.
    virtual protocol::NarPiece next_nar_piece() = 0;
};

// What must be fetched, and which paths the node has with other content than the operator signed.
struct FetchPlan {
    std::vector<std::uint32_t> missing;   // indices, references first
    std::vector<std::uint32_t> differing; // valid here, but with another NAR hash, size or references
    std::uint64_t missing_bytes = 0;      // NAR
};

// `infos` has an entry for every entry of the list; nullopt: the path is not valid.
FetchPlan plan_fetch(const protocol::ClosureList& list, const std::vector<std::optional<nix::PathInfo>>& infos);

// "a, b, c and 5 more": names of the differing paths for a person.
std::string name_paths(const protocol::ClosureList& list, const std::vector<std::uint32_t>& indices);

struct FetchProgress {
    std::uint64_t paths_done = 0;
    std::uint64_t paths_total = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_total = 0;
};

struct FetchOptions {
    protocol::LocalContent local_content = protocol::LocalContent::trust_node;
    std::uint64_t free_bytes = 0;                          // in the store's file system
    std::function<void(const FetchProgress&)> on_progress; // a few times a second, while bytes arrive
    std::function<void(const std::string&)> on_note;
};

// Reads the closure list and verifies it against the signed summary.
protocol::ClosureList receive_closure_list(const protocol::ClosureSummary& summary, const nix::StorePath& toplevel,
                                           Feed& feed);

// Fetches every missing path of the list into the store, and syncs it to the disk. A NAR that is not the signed one
// ends the fetch and is never registered. Paths that a power cut has emptied are fetched again. Returns what was
// fetched. Throws NotActivated.
FetchProgress fetch(const protocol::ClosureList& list, NodeStore& store, Feed& feed, UnsyncedPaths& unsynced,
                    const FetchOptions& options);

} // namespace waggle::agent
