#pragma once

#include "agent/host.hpp"
#include "agent/state.hpp"
#include "agent/store.hpp"
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

    // What the way there and back needs.
    void add(Store& store, const protocol::DeploymentId& id, const nix::StorePath& toplevel,
             const std::optional<nix::StorePath>& previous, const std::optional<nix::StorePath>& agent) const;

    // Lets go of what is due by agent/retention.hpp. Those of the newest deployment stay.
    void tidy(const DeploymentRecord& newest, const Host& host, Time now) const noexcept;

private:
    std::filesystem::path folder_;
};

} // namespace waggle::agent
