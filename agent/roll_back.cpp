#include "agent/roll_back.hpp"

#include "agent/boot_loader.hpp"
#include "agent/commit.hpp"
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
    record.problem_code = problem.code;
    record.problem = problem.text;
    advance(record, LifeEvent::fail, now);
}

// `unwritten`: of a record that could not be written before.
void end_rolled_back(SystemActions& actions, const std::optional<Problem>& unwritten) {
    actions.change([&](DeploymentRecord& record) {
        if (unwritten)
            begin_to_go_back(record, *unwritten, actions.clock());
        advance(record, LifeEvent::reverted, actions.clock());
        end(record,
            {.outcome = Outcome::rolled_back,
             .code = record.problem_code,
             .message = record.secrets_only
                            ? record.problem + "; the secrets of before are in place again"
                            : fmt::format("{}; {} runs again", record.problem,
                                          record.previous_system ? record.previous_system->base_name() : "nothing")});
    });
    actions.disarm();
}

// Whether anything of the new system may run.
bool may_have_changed(const DeploymentRecord& record, SystemActions& actions) {
    if (actions.current_system() != record.previous_system)
        return true;
    return actions.boot_id() == record.boot_id && record.goal != protocol::Goal::boot;
}

// Empty when the old system runs again, else why it does not.
std::string make_old_system_run(const DeploymentRecord& record, SystemActions& actions) {
    const auto& old = *record.previous_system;
    if (actions.profile_link() != record.previous_profile_link)
        actions.restore_profile_link(record.previous_profile_link);
    if (was_in(record, DeploymentState::committing))
        if (const auto result = actions.switch_to_configuration(old, "boot", back); !result.success())
            return fmt::format("the old system's switch-to-configuration boot: {}", result.text);
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
        put_secrets_back(actions, SecretsStep::back_after);
        return end_rolled_back(actions, unwritten);
    }
    if (is_superseded(record, actions))
        return leave_to_others(actions);
    if (!record.previous_system)
        return end_lost(actions, "there is no system that ran before");
    put_secrets_back(actions, SecretsStep::back_before);
    std::string problem;
    try {
        if (was_in(record, DeploymentState::awaiting_reboot) || record.goal == protocol::Goal::boot)
            actions.boot_loader().forget_once();
        problem = make_old_system_run(record, actions);
    } catch (const std::exception& error) {
        problem = error.what();
    }
    put_secrets_back(actions, SecretsStep::back_after); // users of the old system exist again
    if (problem.empty()) {
        const bool rebooted = actions.boot_id() != record.boot_id; // the old agent was started by the boot
        end_rolled_back(actions, unwritten);
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

void put_secrets_back(SystemActions& actions, SecretsStep step) noexcept {
    try {
        actions.install_secrets(step);
    } catch (const std::exception& error) {
        actions.say(fmt::format("the secrets of before were not put back: {}", error.what()));
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
    if (rebooted)
        return {"rebooted", fmt::format("the node was rebooted or lost power while the deployment was {}",
                                        to_string(record.state))};
    switch (caller) {
    case Caller::activation_timer:
        return {"activation-timeout",
                fmt::format("the activation did not end within {} s", record.rollback.activation_timeout.count())};
    case Caller::confirm_timer:
        return {"not-confirmed", fmt::format("the new system was not confirmed within {} s: no operator reached an "
                                             "agent that it started",
                                             record.rollback.confirm_timeout.count())};
    case Caller::person: return {"console", "somebody asked for it at the node's console"};
    case Caller::agent: break;
    }
    return {"cut-off", fmt::format("it was cut off while it was {}", to_string(record.state))};
}

void fail(SystemActions& actions, const Problem& problem) {
    const auto record = actions.record();
    if (record.outcome)
        return;
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
    if (record.outcome)
        return actions.disarm();
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
        if (caller == Caller::agent && !rebooted)
            return; // the timer says when it has waited long enough
        return fail(actions, why_going_back(record, caller, rebooted));
    case RestartRule::finish:
        if (actions.current_system() == record.toplevel || record.goal == protocol::Goal::boot)
            return commit(actions);
        return fail(actions, why_going_back(record, caller, rebooted));
    case RestartRule::look_at_boot:
    case RestartRule::give_up:
    case RestartRule::none: return;
    }
}

} // namespace waggle::agent
