#include "agent/console.hpp"

#include "agent/config.hpp"
#include "agent/life.hpp"
#include "agent/life_commands.hpp"
#include "agent/local_actions.hpp"
#include "agent/roll_back.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

namespace waggle::agent {

using protocol::Outcome;

namespace {

constexpr auto agent_unit_file = "/etc/systemd/system/waggle-agent.service";
constexpr auto default_state_dir = "/var/lib/waggle-agent";
constexpr size_t max_unit_bytes = 1 << 20;
constexpr std::chrono::seconds lock_timeout{60};
constexpr int units_failed = 4; // of switch-to-configuration

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

// Of a deployment that has ended well.
int go_back(StateKeeper& state, const DeploymentRecord& record) {
    const LifeLock lock(state.folder(), deadline_in(lock_timeout));
    LocalActions actions(state);
    const auto& previous = record.previous_system;
    if (!previous || actions.current_system() != record.toplevel)
        throw Error(
            fmt::format("deployment {} is {} and is not what runs here: to run another generation, use `nix-env "
                        "--profile /nix/var/nix/profiles/system --switch-generation N` and its "
                        "bin/switch-to-configuration switch",
                        record.id.brief(), to_string(record.state)));
    if (record.bundle) {
        actions.change([](DeploymentRecord& newest) { newest.bundle.reset(); }); // the ones before are in force again
        put_secrets_back(actions, SecretsStep::back_before);
    }
    if (record.state == DeploymentState::committed)
        if (const auto result = actions.set_profile(*previous); !result.success())
            throw Error(fmt::format("setting the system profile: {}", result.text));
    const auto action = record.state == DeploymentState::committed ? "switch" : "test";
    const auto result = actions.switch_to_configuration(*previous, action, {.no_check = true});
    if (!result.success() && result.code != units_failed)
        throw Error(fmt::format("switch-to-configuration {}: {}", action, result.text));
    if (record.bundle)
        put_secrets_back(actions, SecretsStep::back_after);
    actions.restart_agent();
    return say(fmt::format("{} runs again", previous->absolute()));
}

} // namespace

std::optional<std::filesystem::path> config_of_unit() {
    return config_of_unit(agent_unit_file);
}

std::optional<std::filesystem::path> config_of_unit(const std::filesystem::path& unit_file) {
    constexpr std::string_view option = "--config ";
    const auto unit = read_file_if_exists(unit_file, max_unit_bytes);
    if (!unit)
        return std::nullopt;
    const auto start = unit->find(option);
    if (start == std::string::npos)
        return std::nullopt;
    const auto from = start + option.size();
    return unit->substr(from, unit->find_first_of(" \n", from) - from);
}

std::filesystem::path find_state_dir(const std::optional<std::filesystem::path>& given) {
    if (given)
        return *given;
    const auto config = config_of_unit();
    return config ? load_config(*config).state_dir : std::filesystem::path(default_state_dir);
}

int roll_back_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    const auto record = newest(state);
    if (is_under_way(record)) {
        run_recovery(state.folder(), record.id, Caller::person);
        return say_how_it_ended(state);
    }
    if (!record.outcome)
        throw Error(fmt::format("deployment {} has activated nothing yet: there is nothing to go back from",
                                record.id.brief()));
    return go_back(state, record);
}

int disarm_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    const auto record = newest(state);
    SystemdUnits(state.folder()).disarm();
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
    return say(
        fmt::format("deployment {} is not rolled back any more; it runs until the next boot, which is of the system "
                    "before it",
                    record.id.brief()));
}

int reset_state_at_console(const std::optional<std::filesystem::path>& state_dir) {
    StateKeeper state(find_state_dir(state_dir));
    if (state.condition() != StateKeeper::Condition::corrupt)
        return say("the state can be read: it is left as it is", 1);
    state.reset();
    return say(fmt::format("{}.corrupt is what it was; the next deployment is admitted without a look at earlier ones",
                           StateKeeper::file_in(state.folder()).string()));
}

} // namespace waggle::agent
