#include "agent/console/console.hpp"

#include "agent/activation/commands.hpp"
#include "agent/activation/local_actions.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/node/config.hpp"
#include "agent/node/gc_roots.hpp"
#include "agent/node/operators.hpp"
#include "agent/node/systemd.hpp"
#include "agent/state/life.hpp"
#include "agent/state/record.hpp"
#include "shared/base/duration.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace waggle::agent {

using protocol::Outcome;

namespace {

constexpr size_t max_list_bytes = 1 << 20;
constexpr std::chrono::seconds console_lock_timeout{60};

int say(const std::string& sentence, int exit_code = 0) {
    std::fputs((sentence + "\n").c_str(), exit_code == 0 ? stdout : stderr);
    return exit_code;
}

DeploymentRecord newest(const StateKeeper& state) {
    if (state.condition() == StateKeeper::Condition::corrupt)
        throw Error(state.problem());
    auto record = state.get().deployment;
    if (!record)
        throw Error("this node has admitted no deployment yet");
    return std::move(*record);
}

bool is_under_way(const DeploymentRecord& record) {
    return !record.outcome && restart_rule(record.state) != RestartRule::give_up;
}

int say_how_it_ended(const StateKeeper& state) {
    const auto record = newest(state);
    const bool back = record.outcome == Outcome::rolled_back;
    return say(fmt::format("deployment {}: {}{}{}", record.id.brief(), to_string(record.state),
                           record.message.empty() ? "" : ": ", record.message),
               back ? 0 : 1);
}

// Puts the previous secrets in force again by removing the deployment's own from its record.
void forget_secrets(LocalActions& actions) {
    actions.change([](DeploymentRecord& newest) { newest.bundle.reset(); });
}

// Notes the rollback in the record. The deployment itself was successful, and the history shows both.
void note_way_back(LocalActions& actions) {
    actions.change([](DeploymentRecord& newest) {
        newest.code = "taken-back";
        newest.message += fmt::format("{}rolled back at the node's console at {}", newest.message.empty() ? "" : "; ",
                                      to_rfc3339(now()));
    });
}

// Rolls back a successful deployment of secrets only.
int go_back_to_secrets(StateKeeper& state, const DeploymentRecord& record) {
    const ActivationLock lock(state.folder(), deadline_in(console_lock_timeout));
    LocalActions actions(state);
    if (!record.bundle || record.state != DeploymentState::committed)
        throw Error(
            fmt::format("the secrets of deployment {}, which is {}, are not in force: there is nothing to roll back",
                        record.id.brief(), to_string(record.state)));
    forget_secrets(actions);
    actions.install_secrets(SecretsStep::back_after);
    note_way_back(actions);
    return say("the previous secrets are in place again");
}

// Rolls back a successful deployment of a system.
int go_back(StateKeeper& state, const DeploymentRecord& record) {
    const ActivationLock lock(state.folder(), deadline_in(console_lock_timeout));
    LocalActions actions(state);
    const auto& previous = record.previous_system;
    if (!previous || actions.current_system() != system_of(record))
        throw Error(
            fmt::format("deployment {} is {} and is not what runs here: to run another generation, use `nix-env "
                        "--profile /nix/var/nix/profiles/system --switch-generation N` and its "
                        "bin/switch-to-configuration switch",
                        record.id.brief(), to_string(record.state)));
    const auto run = [&](const nix::StorePath& system, const char* action) {
        const auto result = actions.switch_to_configuration(system, action, {.no_check = true});
        if (!result.success() && result.code != SystemActions::units_failed)
            throw Error(fmt::format("switch-to-configuration {}: {}", action, result.text));
    };
    if (record.bundle) {
        forget_secrets(actions);
        put_secrets_back(actions, SecretsStep::back_before);
    }
    if (record.state == DeploymentState::committed) {
        // If a specialisation ran, the profile is the system that contains it.
        const auto& profile = record.previous_profile ? *record.previous_profile : *previous;
        if (const auto result = actions.set_profile(profile); !result.success())
            throw Error(fmt::format("setting the system profile: {}", result.text));
        run(profile, "boot");
    }
    run(*previous, "test");
    if (record.bundle)
        put_secrets_back(actions, SecretsStep::back_after);
    note_way_back(actions);
    actions.restart_agent();
    return say(fmt::format("{} runs again", previous->absolute()));
}

} // namespace

int roll_back_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    if (state.condition() == StateKeeper::Condition::corrupt) {
        say(state.problem());
        const ActivationLock lock(state.folder(), deadline_in(console_lock_timeout));
        LocalActions actions(state);
        roll_back_to_root(actions, GcRoots(state.folder()).newest_previous_system());
        return 0;
    }
    const auto record = newest(state);
    if (is_under_way(record)) {
        run_recovery(state.folder(), record.id, RecoveryCause::person);
        return say_how_it_ended(state);
    }
    if (!record.outcome)
        throw Error(
            fmt::format("deployment {} has activated nothing yet: there is nothing to roll back", record.id.brief()));
    return record.secrets_only ? go_back_to_secrets(state, record) : go_back(state, record);
}

int disarm_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    const auto record = newest(state);
    SystemdUnits(state.folder()).disarm();
    LocalActions(state).remove_boot_watch();
    if (record.outcome || record.state != DeploymentState::activated)
        return say("the rollback timers are stopped");
    state.change([](State& all) {
        if (!all.deployment || all.deployment->outcome)
            return;
        end(*all.deployment,
            {.outcome = Outcome::unknown,
             .code = "disarmed",
             .message = "the rollback was disarmed at the node's console; the new system runs until the "
                        "next boot"});
    });
    return say(fmt::format(
        "deployment {} is no longer rolled back; it runs until the next boot, which starts the previous system",
        record.id.brief()));
}

int reset_state_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    if (state.condition() != StateKeeper::Condition::corrupt)
        return say("the state can be read: it is left as it is", 1);
    state.reset();
    return say(fmt::format("the old state file is now {}.corrupt; the next deployment is admitted without comparison "
                           "with earlier ones, and the operators are those of the running configuration",
                           StateKeeper::file_in(state.folder()).string()));
}

int reset_clock_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    if (state.condition() == StateKeeper::Condition::corrupt)
        throw Error(state.problem());
    const Time own_clock = now();
    const auto before = state.get().last_admitted;
    if (!before || (before->created <= own_clock && before->sequence <= unix_ms(own_clock)))
        return say(fmt::format("nothing that this node has admitted is ahead of its clock, {}", to_rfc3339(own_clock)));
    state.change([&](State& all) {
        if (!all.last_admitted)
            return;
        all.last_admitted->created = std::min(all.last_admitted->created, own_clock);
        all.last_admitted->sequence = std::min(all.last_admitted->sequence, unix_ms(own_clock));
    });
    return say(fmt::format(
        "the newest deployment was admitted as of {}, which is {} ahead of this node's clock ({}); it "
        "counts as of now",
        to_rfc3339(before->created), describe_duration(before->created - own_clock), to_rfc3339(own_clock)));
}

int adopt_at_console(const std::optional<std::filesystem::path>& file,
                     const std::optional<std::filesystem::path>& config_file,
                     const std::optional<std::filesystem::path>& state_dir) {
    const auto config = config_file ? config_file : config_of_unit();
    const auto keys = [&] {
        if (file)
            return parse_operator_lines(read_file(*file, max_list_bytes), file->string());
        if (!config)
            throw Error(
                "this system has no waggle-agent.service to read the operators from: name a file with their keys");
        return load_config(*config).operators;
    }();
    StateKeeper state(state_dir || !config ? find_state_dir(state_dir) : load_config(*config).state_dir);
    OperatorList operators;
    const auto now = state.change([&](State& all) {
        const auto configured = config ? load_config(*config).operators : keys;
        operators = adopt(operators_of(all, configured), keys);
        all.operators = operators;
        if (all.deployment)
            all.deployment->next_operators.reset();
    });
    for (const auto& key : operators.current)
        say(fmt::format("operator {}", key.fingerprint()));
    for (const auto& key : operators.removed)
        say(fmt::format("removed  {}", key.fingerprint()));
    if (const auto& record = now.deployment; record && !record->outcome)
        say(fmt::format("deployment {}, signed by {}, is under way: `waggle-agent rollback` ends it",
                        record->id.brief(), record->operator_key));
    // Restarting the agent ends the sessions of removed operators.
    if (config_of_unit() && !state_dir)
        queue_job(UnitJob::restart, "waggle-agent.service");
    return 0;
}

} // namespace waggle::agent
