#include "agent/roll_back.hpp"

#include "agent/boot_loader.hpp"
#include "agent/boot_watch.hpp"
#include "agent/commit.hpp"
#include "agent/host.hpp"
#include "agent/life.hpp"
#include "agent/reboot.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace waggle::agent {

using protocol::Outcome;

namespace {

constexpr int units_failed = 4;
// The way back has its own deadline; after it comes the reboot.
constexpr SystemActions::Switch back{.no_check = true, .timeout = std::chrono::seconds(600)};

struct CallerWord {
    Caller caller;
    std::string_view text;
};
constexpr std::array callers = {
    CallerWord{Caller::activation_timer, "activation-timer"},
    CallerWord{Caller::confirm_timer, "confirm-timer"},
    CallerWord{Caller::agent, "agent"},
    CallerWord{Caller::boot_watch, "boot-watch"},
    CallerWord{Caller::person, "person"},
};

bool was_in(const DeploymentRecord& record, DeploymentState state) {
    return std::ranges::find(record.trail, state, &TrailEntry::state) != record.trail.end();
}

void end_lost(SystemActions& actions, const std::string& problem) {
    actions.change([&](DeploymentRecord& record) {
        advance(record, LifeEvent::lost, actions.clock());
        end(record, {.outcome = Outcome::unknown,
                     .code = "rollback-failed",
                     .message = fmt::format("{}; going back failed, too: {}", record.problem, problem)});
    });
    actions.disarm();
}

void begin_to_go_back(DeploymentRecord& record, const Problem& problem, Time now) {
    if (record.state != DeploymentState::rolling_back) { // else this is a problem on the way back
        record.problem_code = problem.code;
        record.problem = problem.text;
    }
    advance(record, LifeEvent::fail, now);
}

// `unwritten`: of a record that could not be written before.
// `menu_problem`: why the boot loader may start the new system.
// `secrets_problem`: of a deployment of nothing else, why those of before are not in place.
void end_rolled_back(SystemActions& actions, const std::optional<Problem>& unwritten, std::string menu_problem,
                     const std::string& secrets_problem = "") {
    if (!menu_problem.empty()) {
        menu_problem = fmt::format("; but {}: when its reason is gone, run {}/bin/switch-to-configuration boot on the "
                                   "node, before it reboots",
                                   menu_problem, system_profile);
        actions.say(menu_problem.substr(2));
    }
    actions.change([&](DeploymentRecord& record) {
        if (unwritten)
            begin_to_go_back(record, *unwritten, actions.clock());
        advance(record, LifeEvent::reverted, actions.clock());
        end(record,
            {.outcome = Outcome::rolled_back,
             .code = record.problem_code,
             .message = record.secrets_only
                            ? fmt::format("{}; {}", record.problem,
                                          secrets_problem.empty()
                                              ? "the secrets of before are in place again"
                                              : "the secrets of before were not all put back: " + secrets_problem)
                            : fmt::format("{}; {} runs again{}", record.problem,
                                          record.previous_system ? record.previous_system->base_name() : "nothing",
                                          menu_problem)});
    });
    actions.disarm();
}

// Whether anything of the new system may run.
bool may_have_changed(const DeploymentRecord& record, SystemActions& actions) {
    if (actions.current_system() != record.previous_system)
        return true;
    return actions.boot_id() == record.boot_id && record.goal != protocol::Goal::boot;
}

// The old menu, where a commit may have written another. Empty when that is done.
std::string problem_with_boot_loader(const DeploymentRecord& record, SystemActions& actions) {
    if (!was_in(record, DeploymentState::committing))
        return "";
    // Where a specialisation ran, the menu is of the system that it belongs to.
    const auto& old = record.previous_profile ? *record.previous_profile : *record.previous_system;
    const auto result = actions.switch_to_configuration(old, "boot", back);
    return result.success() ? "" : fmt::format("the old system's switch-to-configuration boot: {}", result.text);
}

// Empty when the old system runs again, else why it does not.
std::string make_old_system_run(const DeploymentRecord& record, SystemActions& actions) {
    const auto& old = *record.previous_system;
    if (may_have_changed(record, actions)) {
        const auto result = actions.switch_to_configuration(old, "test", back);
        if (!result.success() && result.code != units_failed)
            return fmt::format("the old system's switch-to-configuration test: {}", result.text);
        actions.start_default_target(); // emergency.target may have stopped everything
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
        return leave_to_others(actions);
    if (!record.previous_system)
        return end_lost(actions, "there is no system that ran before");
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
        if (!menu_problem.empty() && problem.empty()) // it may have made the room
            menu_problem = problem_with_boot_loader(record, actions);
    } catch (const std::exception& error) {
        problem = error.what();
    }
    put_secrets_back(actions, SecretsStep::back_after); // users of the old system exist again
    if (problem.empty()) {
        const bool rebooted = actions.boot_id() != record.boot_id; // the old agent was started by the boot
        // A reboot would not help here: what it starts is what the menu says now.
        end_rolled_back(actions, unwritten, menu_problem);
        if (!rebooted)
            actions.restart_agent();
        return;
    }
    // The last resort. It is safe: what boots is what the profile and the boot loader say, the old system.
    actions.say(fmt::format("{}; rebooting into the old system", problem));
    try {
        record = actions.change([&](DeploymentRecord& all) { advance(all, LifeEvent::fail, actions.clock()); });
        if (record.outcome) // it went round in circles
            return actions.disarm();
    } catch (const std::exception& error) {
        actions.say(fmt::format("that was not written ({}); rebooting all the same", error.what()));
    }
    actions.reboot();
}

} // namespace

std::string put_secrets_back(SystemActions& actions, SecretsStep step) noexcept {
    try {
        actions.install_secrets(step);
        return "";
    } catch (const std::exception& error) {
        actions.say(fmt::format("the secrets of before were not put back: {}", error.what()));
        return error.what();
    }
}

std::string_view to_string(Caller caller) {
    return std::ranges::find(callers, caller, &CallerWord::caller)->text;
}

std::optional<Caller> parse_caller(std::string_view text) {
    const auto found = std::ranges::find(callers, text, &CallerWord::text);
    return found == callers.end() ? std::nullopt : std::optional(found->caller);
}

Problem why_going_back(const DeploymentRecord& record, Caller caller, bool rebooted) {
    if (record.problem_code == "activation-timeout" || record.problem_code == "console")
        return {record.problem_code, record.problem}; // written before the activation was killed
    if (caller == Caller::boot_watch && record.state == DeploymentState::awaiting_reboot)
        return {"agent-not-started", fmt::format("the new system was booted, and no agent of it took the deployment up "
                                                 "within {} s",
                                                 boot_time(record).count())};
    if (rebooted)
        return {"rebooted", fmt::format("the node was rebooted or lost power while the deployment was {}",
                                        to_string(record.state))};
    switch (caller) {
    case Caller::activation_timer:
        return {"activation-timeout",
                fmt::format("the activation did not end within {} s", record.rollback.activation_timeout.count())};
    case Caller::confirm_timer:
        return {"not-confirmed", fmt::format("the new system was not confirmed within {} s: it started no agent, or no "
                                             "operator reached that one",
                                             record.rollback.confirm_timeout.count())};
    case Caller::person: return {"console", "somebody asked for it at the node's console"};
    case Caller::boot_watch:
    case Caller::agent: break;
    }
    return {"cut-off", fmt::format("it was cut off while it was {}", to_string(record.state))};
}

void fail(SystemActions& actions, const Problem& problem) {
    const auto record = actions.record();
    if (record.outcome)
        return actions.disarm();
    if (!record.rollback.enable) {
        actions.change([&](DeploymentRecord& all) {
            advance(all, LifeEvent::lost, actions.clock());
            end(all, {.outcome = Outcome::unknown,
                      .code = problem.code,
                      .message = problem.text + "; rolling back is switched off, the node is left as it is"});
        });
        return actions.disarm();
    }
    actions.say(fmt::format("{}; rolling back", problem.text));
    try {
        actions.change([&](DeploymentRecord& all) { begin_to_go_back(all, problem, actions.clock()); });
    } catch (const std::exception& error) {
        // A disk that is full is no reason to leave the node as it is: the old system may even make room.
        actions.say(fmt::format("that was not written ({}); rolling back all the same", error.what()));
        return go_back(actions, problem);
    }
    go_back(actions);
}

void recover(SystemActions& actions, Caller caller) {
    const auto record = actions.record();
    if (record.state == DeploymentState::awaiting_reboot)
        return look_at_boot(actions, caller);
    if (record.outcome) {
        if (caller == Caller::boot_watch) // the boot may have been prepared by a deployment before this one
            forget_boot(actions);
        else if (record.state == DeploymentState::rolled_back) // who wrote that may have been killed before it did this
            actions.restart_agent();
        return actions.disarm();
    }
    const bool rebooted = record.boot_id != actions.boot_id();
    switch (restart_rule(record.state)) {
    case RestartRule::roll_back:
        if (record.state == DeploymentState::rolling_back)
            return go_back(actions);
        return !record.secrets_only && is_superseded(record, actions)
                   ? leave_to_others(actions)
                   : fail(actions, why_going_back(record, caller, rebooted));
    case RestartRule::await_word:
        if (is_superseded(record, actions))
            return leave_to_others(actions);
        if ((caller == Caller::agent || caller == Caller::boot_watch) && !rebooted)
            return; // the timer says when it has waited long enough
        return fail(actions, why_going_back(record, caller, rebooted));
    case RestartRule::finish:
        if (actions.current_system() == system_of(record) || record.goal == protocol::Goal::boot)
            return commit(actions);
        return fail(actions, why_going_back(record, caller, rebooted));
    case RestartRule::look_at_boot:
    case RestartRule::give_up:
    case RestartRule::none: return;
    }
}

} // namespace waggle::agent
