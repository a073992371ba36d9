#pragma once

#include "agent/state.hpp"
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

// What the node remembers of its deployments: a bounded log (history.json), and of those that made a generation of the
// system profile the signed document and the closure list (deployments/ID/), from which a trigger can deploy them
// again. Nothing here decides what the node does: it may be lost or thrown away.
class Archive {
public:
    explicit Archive(std::filesystem::path state_dir);

    // What an agent that was killed left half-written. For the daemon, before it writes.
    void remove_leftovers() const;

    static constexpr size_t max_entries = 500; // of the log
    static constexpr size_t kept_deployments = 20;

    // A deployment that was admitted, and the list it came with. What cannot be written is logged: nothing fails for
    // it.
    void keep_document(const protocol::DeploymentId& id, const protocol::SignedDocument& document) const;
    void keep_list(const protocol::DeploymentId& id, std::string_view list) const;

    // Adds the record to the log if it has ended and is not there. Lets go of what was kept of deployments that made no
    // generation, and of old ones. Logs what cannot be written; the next call for the same record tries again.
    void note(const DeploymentRecord& record) noexcept;

    // The newest first.
    std::vector<protocol::HistoryEntry> history(size_t limit) const;

    struct Kept {
        std::uint64_t generation = 0;
        protocol::SignedDocument document;
        std::string list;
    };
    // What made this generation; nullopt for one that no deployment made, or that was let go.
    std::optional<Kept> find(std::uint64_t generation) const;
    // The generation before the newest one that a deployment made.
    std::optional<std::uint64_t> previous(const std::optional<nix::StorePath>& running) const;

private:
    void keep(const protocol::DeploymentId& id, const char* name, std::string_view content) const noexcept;
    void add(const DeploymentRecord& record) const;
    std::vector<protocol::HistoryEntry> read() const; // the oldest first
    std::filesystem::path folder_of(const protocol::DeploymentId& id) const;
    void let_go(const std::vector<protocol::HistoryEntry>& entries) const;

    std::filesystem::path state_dir_;
    mutable std::mutex mutex_;
};

} // namespace waggle::agent
