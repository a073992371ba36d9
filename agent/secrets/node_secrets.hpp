#pragma once

#include "agent/config.hpp"
#include "agent/secrets/bundle_files.hpp"
#include "agent/secrets/install_plan.hpp"
#include "agent/secrets/installation.hpp"
#include "agent/state.hpp"
#include "shared/protocol/messages.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// No core file, no ptrace by others of the same user, no swap for this process: it is about to hold secrets in clear.
void guard_memory() noexcept;

// The secrets of this node, with its keys and files: installed and looked at one process at a time (secrets.lock).
class NodeSecrets {
public:
    // `config`: who the node is, where its state is, which keys it has, which file systems come late.
    explicit NodeSecrets(Config config);

    // What is to be in place; `running_system` is what boots or runs. Throws Error when the state cannot be read.
    std::optional<BundleRef> in_force(const std::optional<nix::StorePath>& running_system) const;

    // Without a bundle: as if it held nothing. Throws BundleRefused, SecretsNotInstalled and the like.
    InstallOutcome install(const std::optional<BundleRef>& bundle, StageScope scope) const;

    protocol::SecretsReport report() const;

    const Config& config() const { return config_; }

private:
    protocol::SecretBundle open(const std::optional<BundleRef>& bundle) const;
    Unsealer unsealer() const;
    std::vector<std::string> absent_mounts() const;
    InstallWorld world() const;

    Config config_;
};

// The mount points in the text of /proc/self/mountinfo.
std::vector<std::string> parse_mount_points(std::string_view mountinfo);

} // namespace waggle::agent
