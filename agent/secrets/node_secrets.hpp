#pragma once

#include "agent/node/config.hpp"
#include "agent/secrets/bundle_files.hpp"
#include "agent/secrets/install_plan.hpp"
#include "agent/secrets/installation.hpp"
#include "agent/state/state.hpp"
#include "shared/protocol/messages.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Disables core files, ptrace by the same user, and swap for this process, before it holds secrets in plain text.
void guard_memory() noexcept;

// The secrets of this node, with its keys and files. One process at a time installs or inspects them (secrets.lock).
class NodeSecrets {
public:
    // `config` has the node's identity, state directory, keys and late mounts.
    explicit NodeSecrets(Config config);

    // The bundle that belongs on the node; `running_system` is booting or running. Throws Error if the state is
    // unreadable.
    std::optional<BundleRef> in_force(const std::optional<nix::StorePath>& running_system) const;

    // Treats a missing bundle as an empty one. Throws BundleRefused, SecretsNotInstalled and the like.
    InstallOutcome install(const std::optional<BundleRef>& bundle, StageScope scope) const;

    protocol::SecretsReport report() const;

    const Config& config() const { return config_; }

private:
    protocol::SecretBundle open(const std::optional<BundleRef>& bundle) const;
    Unsealer unsealer() const;
    std::vector<std::string> absent_mounts() const;
    InstallWorld environment() const;

    Config config_;
};

// Parses the mount points in the text of /proc/self/mountinfo.
std::vector<std::string> parse_mount_points(std::string_view mountinfo);

} // namespace waggle::agent
