#pragma once

#include "agent/state/state.hpp"
#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/history.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace waggle::agent {

// The history of this node's deployments: a bounded log (history.json), and for those that made a generation of the
// system profile the signed document and the closure list (deployments/ID/), from which a trigger can deploy them
// again. The node's decisions do not depend on it: it may be lost or deleted.
class Archive {
public:
    explicit Archive(std::filesystem::path state_dir);

    // Removes what a killed agent left half-written. The daemon calls it before it writes.
    void remove_leftovers() const;

    static constexpr size_t max_entries = 500; // in the log
    static constexpr size_t kept_deployments = 20;

    // Keeps an admitted deployment and its closure list. Logs a failure to write, and does not throw.
    void keep_document(const protocol::DeploymentId& id, const protocol::SignedDocument& document) const;
    void keep_list(const protocol::DeploymentId& id, std::string_view list) const;

    // Adds an ended record to the log, once. Deletes what was kept of old deployments and of those that made no
    // generation. Logs a failure to write; the next call for the same record tries again.
    void note(const DeploymentRecord& record) noexcept;

    // Newest first.
    std::vector<protocol::HistoryEntry> history(size_t limit) const;

    struct Kept {
        std::uint64_t generation = 0;
        protocol::SignedDocument document;
        std::string list;
    };
    // The deployment that made this generation, or nullopt if none did or it was deleted.
    std::optional<Kept> find(std::uint64_t generation) const;
    // The newest generation that a deployment made and whose system is not the running one.
    std::optional<std::uint64_t> previous(const std::optional<nix::StorePath>& running) const;

private:
    void keep(const protocol::DeploymentId& id, const char* name, std::string_view content) const noexcept;
    void add(const DeploymentRecord& record) const;
    std::vector<protocol::HistoryEntry> read() const; // oldest first
    std::filesystem::path folder_of(const protocol::DeploymentId& id) const;
    void let_go(const std::vector<protocol::HistoryEntry>& entries) const;

    std::filesystem::path state_dir_;
    mutable std::mutex mutex_;
};

} // namespace waggle::agent
