#include "agent/secrets/deployment_secrets.hpp"

#include "agent/node/config.hpp"
#include "agent/node/host.hpp"
#include "agent/secrets/bundle_in_force.hpp"
#include "agent/secrets/restart_units.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <optional>

namespace waggle::agent {

namespace {

// Returns the configuration of the agent that began the deployment. It also has the key and the late mounts of the
// system that is to run, which may have others.
Config config_for(const DeploymentRecord& record, const std::optional<nix::StorePath>& system) {
    const auto unit_config = config_of_unit();
    if (record.config.empty() && !unit_config)
        throw Error("this node's agent has no configuration file: the node and hive of its secrets are unknown");
    auto config = load_config(record.config.empty() ? *unit_config : std::filesystem::path(record.config));
    if (!system)
        return config;
    try {
        if (const auto file = config_of_unit(system->absolute() + "/etc/systemd/system/waggle-agent.service")) {
            auto next = load_config(*file);
            config.old_identity_files.push_back(next.identity_file);
            config.secret_mounts = std::move(next.secret_mounts);
        }
    } catch (const Error& error) {
        // The system has an agent of a later version. The present agent's configuration is sufficient.
        spdlog::debug("the configuration of the new system's agent: {}", error.what());
    }
    return config;
}

} // namespace

// All secrets are in place, but something is left that should not be. That is no reason to roll back; the deployment
// reports it.
void DeploymentSecrets::note(const std::string& problem) {
    say_(problem);
    state_.change([&](State& all) {
        if (!all.deployment || !all.deployment->problem_code.empty())
            return;
        all.deployment->problem_code = secrets_left;
        all.deployment->problem = problem;
    });
}

bool DeploymentSecrets::carry_out(SecretsStep step) {
    const bool back = step == SecretsStep::back_before || step == SecretsStep::back_after;
    const auto state = state_.get();
    const auto& record = state.require_deployment();
    const auto bundle =
        back ? state.secrets : bundle_in_force(state, LocalHost().boot_id(), LocalHost().current_system());
    if (!bundle && !std::filesystem::exists(InstalledList::file_in(state_.folder())))
        return false;
    guard_memory();
    const NodeSecrets secrets(config_for(record, back ? record.previous_system : record.toplevel));
    StageScope scope;
    scope.stage = back                                     ? SecretStage::boot
                  : step == SecretsStep::before_activation ? SecretStage::before_activation
                                                           : SecretStage::after_activation;
    auto outcome = secrets.install(bundle, std::move(scope));
    for (const auto& name : outcome.written)
        say_(fmt::format("secret {} {}", name, back ? "put back" : "written"));
    for (const auto& path : outcome.removed)
        say_(fmt::format("secret {} removed", path));
    for (const auto& sentence : outcome.waiting)
        say_(sentence);
    changes_.insert(changes_.end(), outcome.units.begin(), outcome.units.end());
    if (step == SecretsStep::after_activation || step == SecretsStep::back_after) {
        restart_units(changes_, say_);
        changes_.clear();
        if (outcome.problems.empty())
            clear_failed_boot_unit();
    }
    if (outcome.problems.empty())
        return outcome.changed();
    const auto problem = fmt::format("{}", fmt::join(outcome.problems, "; "));
    if (back)
        throw SecretsNotInstalled(problem);
    note(problem);
    return outcome.changed();
}

} // namespace waggle::agent
