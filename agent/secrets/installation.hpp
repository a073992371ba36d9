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

// Secrets could not be installed. Of a stage that writes all or nothing, nothing was.
class SecretsNotInstalled : public Error {
public:
    using Error::Error;
};

// A unit that is to be restarted or reloaded because of a secret that changed at that moment (of CLOCK_MONOTONIC, as
// systemd's timestamps): unless it has been started since.
struct UnitChange {
    std::string unit;
    bool reload = false;
    std::chrono::microseconds at{0};
    bool operator==(const UnitChange&) const = default;
};

struct InstallOutcome {
    std::vector<std::string> written; // names, also of those that were only repaired
    std::vector<std::string> removed; // paths
    std::vector<UnitChange> units;
    std::vector<std::string> waiting;  // sentences: for a mount, for a user
    std::vector<std::string> problems; // sentences, of stages in which each secret is for itself

    bool changed() const { return !written.empty() || !removed.empty(); }
};

// The outside world of an installation.
struct InstallWorld {
    std::filesystem::path state_dir;
    const Accounts& accounts;
    std::function<Time()> clock;
    std::function<std::chrono::microseconds()> monotonic;
};

// Makes the files of a stage what the bundle says: those that are right already are not touched, the others are written
// beside their place and then put into it. Throws SecretsNotInstalled, HostilePath, SystemError.
InstallOutcome install_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                               const InstallWorld& environment);

// How each file of the bundle is, and which are still there that should not be; changes nothing.
std::vector<protocol::SecretStatus> look_at_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                                                    const InstallWorld& environment);

} // namespace waggle::agent
