#include "agent/activation/roll_back.hpp"

#include "agent/activation/pending_boot.hpp"
#include "agent/activation/supersede.hpp"
#include "agent/node/boot_loader.hpp"
#include "agent/node/boot_watch.hpp"
#include "agent/node/host.hpp"
#include "agent/state/record.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/log_marks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace waggle::agent {

using protocol::Outcome;

namespace {

// A rollback has its own deadline, after which the node reboots.
constexpr SystemActions::Switch back{.no_check = true, .waits_for_lock = true, .timeout = std::chrono::seconds(600)};
// A script that exits with an error may have done nothing, because D-Bus or logind did not answer. It is retried before
// the reboot.
constexpr int max_tries = 4;
constexpr std::chrono::seconds try_pause{5};

bool was_in(const DeploymentRecord& record, DeploymentState state) {
    return std::ranges::find(record.state_log, state, &StateLogEntry::state) != record.state_log.end();
}

void end_lost(SystemActions& actions, const std::string& problem) {
    actions.change([&](DeploymentRecord& record) {
        advance(record, StateEvent::lost, actions.clock());
        end(record, {.outcome = Outcome::unknown,
                     .code = "rollback-failed",
                     .message = fmt::format("{}; the rollback also failed: {}", record.problem, problem)});
    });
    actions.disarm();
}

// Adds the mounts that have failed. A failed mount causes emergency mode, which stops nearly everything, so it is the
// cause of whichever problem was noticed first.
Problem with_failed_mounts(Problem problem, SystemActions& actions) noexcept {
    try {
        std::vector<std::string> mounts;
        for (const auto& unit : actions.failed_units(std::chrono::steady_clock::now()).blamed)
            if (unit.ends_with(".mount") && problem.text.find(unit) == std::string::npos)
                mounts.push_back(unit);
        if (!mounts.empty())
            problem.text += fmt::format("; a mount failed: {}", fmt::join(mounts, ", "));
    } catch (const std::exception& error) {
        actions.say(fmt::format("it is unknown whether a mount failed: {}", error.what()));
    }
    return problem;
}

void begin_rollback(DeploymentRecord& record, const Problem& problem, Time now) {
    if (record.state != DeploymentState::rolling_back) { // otherwise this is a problem of the rollback
        record.problem_code = problem.code;
        record.problem = problem.text;
    }
    advance(record, StateEvent::fail, now);
}

// `unwritten`: the problem, if it could not be written to the record before.
// `menu_problem`: why the boot loader may start the new system.
// `secrets_problem`: for a deployment of secrets only, why the previous ones are not in place.
void end_rolled_back(SystemActions& actions, const std::optional<Problem>& unwritten, std::string menu_problem,
                     const std::string& secrets_problem = "") {
    if (!menu_problem.empty()) {
        menu_problem = fmt::format(
            "; but {}: when the cause is fixed, run {}/bin/switch-to-configuration boot on the node, before it reboots",
            menu_problem, system_profile);
        actions.say(menu_problem.substr(2));
    }
    actions.change([&](DeploymentRecord& record) {
        if (unwritten)
            begin_rollback(record, *unwritten, actions.clock());
        advance(record, StateEvent::reverted, actions.clock());
        end(record,
            {.outcome = Outcome::rolled_back,
             .code = record.problem_code,
             .message = record.secrets_only
                            ? fmt::format("{}; {}", record.problem,
                                          secrets_problem.empty()
                                              ? "the previous secrets are in place again"
                                              : "the previous secrets were not all restored: " + secrets_problem)
                            : fmt::format("{}; {} runs again{}", record.problem,
                                          record.previous_system ? record.previous_system->base_name() : "nothing",
                                          menu_problem)});
    });
    actions.disarm();
}

// Whether any part of the new system may be running.
bool may_have_changed(const DeploymentRecord& record, SystemActions& actions) {
    if (actions.current_system() != record.previous_system)
        return true;
    return actions.boot_id() == record.boot_id && record.goal != protocol::Goal::boot;
}

// Restores the old boot menu if a commit may have written another. Returns an empty string on success.
std::string problem_with_boot_loader(const DeploymentRecord& record, SystemActions& actions) {
    if (!was_in(record, DeploymentState::committing))
        return "";
    // If a specialisation ran, the menu is that of the system that contains it.
    const auto& old = record.previous_profile ? *record.previous_profile : record.require_previous_system();
    const auto result = actions.switch_to_configuration(old, "boot", back);
    return result.success() ? "" : fmt::format("the old system's switch-to-configuration boot: {}", result.text);
}

// Switches to the old system. Returns an empty string on success.
std::string switch_back(const nix::StorePath& old, SystemActions& actions) {
    actions.start_bus(); // emergency mode stops it
    for (int tries = 1;; ++tries) {
        const auto result = actions.switch_to_configuration(old, "test", back);
        if (result.success() || result.code == SystemActions::units_failed)
            break;
        const auto problem = fmt::format("the old system's switch-to-configuration test: {}", result.text);
        if (!result.code || tries == max_tries)
            return problem;
        actions.say(fmt::format("{}; trying again", problem));
        actions.pause(try_pause);
    }
    actions.start_default_target(); // emergency.target may have stopped everything
    return "";
}

// Returns an empty string if the old system runs again, otherwise why it does not.
std::string make_old_system_run(const DeploymentRecord& record, SystemActions& actions) {
    const auto& old = record.require_previous_system();
    if (may_have_changed(record, actions)) {
        if (auto problem = switch_back(old, actions); !problem.empty())
            return problem;
    }
    if (actions.current_system() != old)
        return fmt::format("{} does not run", old.base_name());
    return "";
}

// The record is `rolling_back`, or could not be written.
void go_back(SystemActions& actions, const std::optional<Problem>& unwritten = std::nullopt) {
    auto record = actions.record();
    if (record.secrets_only) {
        const auto problem = put_secrets_back(actions, SecretsStep::back_after);
        return end_rolled_back(actions, unwritten, "", problem);
    }
    if (is_superseded(record, actions))
        return end_as_superseded(actions);
    if (!record.previous_system)
        return end_lost(actions, "no previous system is known");
    put_secrets_back(actions, SecretsStep::back_before);
    std::string problem;
    std::string menu_problem;
    try {
        if (may_boot_once(record))
            actions.boot_loader().forget_once();
        actions.remove_boot_watch();
        if (actions.profile_link() != record.previous_profile_link)
            actions.restore_profile_link(record.previous_profile_link);
        menu_problem = problem_with_boot_loader(record, actions);
        problem = make_old_system_run(record, actions);
        if (!menu_problem.empty() && problem.empty()) // the old system may have freed the space
            menu_problem = problem_with_boot_loader(record, actions);
    } catch (const std::exception& error) {
        problem = error.what();
    }
    put_secrets_back(actions, SecretsStep::back_after); // users of the old system exist again
    if (problem.empty()) {
        const bool rebooted = actions.boot_id() != record.boot_id; // then the boot has started the old agent
        // A reboot would not help here: it would start what the menu names now.
        end_rolled_back(actions, unwritten, menu_problem);
        if (!rebooted)
            actions.restart_agent();
        return;
    }
    // A reboot is the last resort. It is safe, because the profile and the boot loader start the old system.
    actions.say(fmt::format("{}; rebooting into the old system", problem));
    try {
        record = actions.change([&](DeploymentRecord& all) { advance(all, StateEvent::fail, actions.clock()); });
        if (record.outcome) // advance() has detected a loop
            return actions.disarm();
    } catch (const std::exception& error) {
        actions.say(fmt::format("could not save the state ({}); rebooting anyway", error.what()));
    }
    actions.reboot();
}

} // namespace

std::string put_secrets_back(SystemActions& actions, SecretsStep step) noexcept {
    try {
        actions.install_secrets(step);
        return "";
    } catch (const std::exception& error) {
        actions.say(fmt::format("the previous secrets were not restored: {}", error.what()));
        return error.what();
    }
}

Problem activation_timed_out(const DeploymentRecord& record) {
    return {"activation-timeout",
            fmt::format("the activation did not end within {} s", record.rollback.activation_timeout.count())};
}

Problem rollback_reason(const DeploymentRecord& record, RecoveryCause caller, bool rebooted) {
    if (record.problem_code == "activation-timeout" || record.problem_code == "console")
        return {record.problem_code, record.problem}; // written before the activation was killed
    if (caller == RecoveryCause::boot_watch && record.state == DeploymentState::awaiting_reboot)
        return {"agent-not-started",
                fmt::format("the new system was booted, but its agent did not resume the deployment within {} s",
                            boot_time(record).count())};
    if (rebooted)
        return {"rebooted", fmt::format("the node was rebooted or lost power while the deployment was {}",
                                        to_string(record.state))};
    switch (caller) {
    case RecoveryCause::activation_timer: return activation_timed_out(record);
    case RecoveryCause::confirm_timer:
        return {
            "not-confirmed",
            fmt::format(
                "the new system was not confirmed within {} s: it started no agent, or no operator reached that agent",
                record.rollback.confirm_timeout.count())};
    case RecoveryCause::person: return {"console", "a rollback was requested at the node's console"};
    case RecoveryCause::boot_watch:
    case RecoveryCause::agent: break;
    }
    return {"cut-off", fmt::format("it was cut off while it was {}", to_string(record.state))};
}

void fail(SystemActions& actions, const Problem& cause) {
    const auto record = actions.record();
    if (record.outcome)
        return actions.disarm();
    const auto problem = with_failed_mounts(cause, actions);
    if (!record.rollback.enable) {
        actions.change([&](DeploymentRecord& all) {
            advance(all, StateEvent::lost, actions.clock());
            end(all, {.outcome = Outcome::unknown,
                      .code = problem.code,
                      .message = problem.text + "; rolling back is switched off, the node is left as it is"});
        });
        return actions.disarm();
    }
    actions.say(problem.text + std::string(protocol::rolls_back_mark));
    try {
        actions.change([&](DeploymentRecord& all) { begin_rollback(all, problem, actions.clock()); });
    } catch (const std::exception& error) {
        // A full disk is no reason to leave the node as it is: the old system may even free space.
        actions.say(fmt::format("could not save the state ({}); rolling back anyway", error.what()));
        return go_back(actions, problem);
    }
    go_back(actions);
}

void roll_back_to_root(SystemActions& actions, const std::optional<nix::StorePath>& previous_system) {
    if (!previous_system)
        throw Error("no GC root names the previous system: check which system this node runs");
    const auto current = actions.current_system();
    if (current != previous_system && current == actions.profile())
        return actions.say(fmt::format("{} runs and is the boot default; it is kept", current->base_name()));
    auto problem = current == previous_system ? "" : switch_back(*previous_system, actions);
    if (problem.empty() && actions.current_system() != previous_system)
        problem = fmt::format("{} does not run", previous_system->base_name());
    if (!problem.empty()) {
        actions.say(fmt::format("{}; rebooting into the old system", problem));
        return actions.reboot();
    }
    actions.say(fmt::format("{} runs again", previous_system->base_name()));
    actions.disarm();
    actions.restart_agent();
}

void resume_rollback(SystemActions& actions) {
    go_back(actions);
}

} // namespace waggle::agent
