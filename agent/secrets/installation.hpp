#pragma once

#include "agent/secrets/accounts.hpp"
#include "agent/secrets/install_plan.hpp"
#include "agent/secrets/installed.hpp"
#include "agent/secrets/secret_folder.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Secrets could not be installed. A stage that writes all or nothing has written nothing.
class SecretsNotInstalled : public Error {
public:
    using Error::Error;
};

// A unit to be restarted or reloaded because a secret changed at the time `at` (CLOCK_MONOTONIC, like systemd's
// timestamps), unless it has been started since.
struct UnitChange {
    std::string unit;
    bool reload = false;
    std::chrono::microseconds at{0};
    bool operator==(const UnitChange&) const = default;
};

struct InstallOutcome {
    std::vector<std::string> written; // names, including those that were only repaired
    std::vector<std::string> removed; // paths
    std::vector<UnitChange> units;
    std::vector<std::string> waiting;  // sentences: for a mount, for a user
    std::vector<std::string> problems; // sentences, in stages where each secret is independent

    bool changed() const { return !written.empty() || !removed.empty(); }
};

// The external dependencies of an installation.
struct InstallWorld {
    std::filesystem::path state_dir;
    const Accounts& accounts;
    std::function<Time()> clock;
    std::function<std::chrono::microseconds()> monotonic;
};

// Makes the files of a stage match the bundle. Does not touch files that are already correct; writes the others to
// temporary files alongside and then renames them. Throws SecretsNotInstalled, HostilePath, SystemError.
InstallOutcome install_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                               const InstallWorld& environment);

// Reports the status of each file of the bundle, and the files that should have been removed. Changes nothing.
std::vector<protocol::SecretStatus> look_at_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                                                    const InstallWorld& environment);

} // namespace waggle::agent
