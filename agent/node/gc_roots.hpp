#pragma once

#include "agent/node/host.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/state.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <optional>

namespace waggle::agent {

// The links in the agent's state directory that keep store paths from the garbage collector: for each deployment its
// toplevel (gcroots/ID), the system before it (ID-previous) and the agent before it (ID-agent).
class GcRoots {
public:
    explicit GcRoots(const std::filesystem::path& state_dir) : folder_(state_dir / "gcroots") {}

    // Adds roots for the systems and the agent that the deployment and its rollback need.
    void add(NodeStore& store, const protocol::DeploymentId& id, const nix::StorePath& toplevel,
             const std::optional<nix::StorePath>& previous, const std::optional<nix::StorePath>& agent) const;

    // The system that ran before the deployment, or nullopt if its root is gone.
    std::optional<nix::StorePath> previous_system(const protocol::DeploymentId& id) const;
    // The same for the newest deployment.
    std::optional<nix::StorePath> newest_previous_system() const;

    // Deletes expired roots by the rules of agent/state/retention.hpp, but none of the newest deployment.
    void tidy(const DeploymentRecord& newest, const Host& host, Time now) const noexcept;

private:
    std::filesystem::path folder_;
};

} // namespace waggle::agent
