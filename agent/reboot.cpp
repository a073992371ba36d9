#include "agent/reboot.hpp"

#include "agent/boot_loader.hpp"
#include "agent/commit.hpp"
#include "agent/life.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace waggle::agent {

using protocol::Outcome;
using protocol::Reboot;

namespace {

bool reboots_now(const DeploymentRecord& record, SystemActions& actions) {
    return record.reboot == Reboot::always ||
           (record.reboot == Reboot::if_needed && actions.needs_reboot(*record.toplevel));
}

void end_untouched(SystemActions& actions, Outcome outcome, const std::string& code, const std::string& message) {
    actions.change([&](DeploymentRecord& record) {
        advance(record, LifeEvent::nothing_activated, actions.clock());
        end(record, {.outcome = outcome, .code = code, .message = message});
    });
    actions.disarm();
}

// For good: there is no way back that the boot loader would take by itself.
void make_default(SystemActions& actions, bool reboot) {
    commit(actions);
    if (reboot && actions.record().state == DeploymentState::committed)
        actions.reboot();
}

std::optional<Problem> problem_after_boot(const DeploymentRecord& record, SystemActions& actions) {
    if (const auto problem = actions.health_problem())
        return Problem{"health-check", *problem};
    std::vector<std::string> fresh;
    std::ranges::set_difference(actions.failed_units(), record.failed_units, std::back_inserter(fresh));
    if (!fresh.empty() && !record.rollback.keep_on_failed_units)
        return Problem{"units-failed", fmt::format("units failed: {}", fmt::join(fresh, ", "))};
    return std::nullopt;
}

// The old system is what boots next: the new one was booted once.
void reboot_into_old(SystemActions& actions, const Problem& problem) {
    actions.say(fmt::format("{}; rebooting into the old system", problem.text));
    actions.change([&](DeploymentRecord& record) {
        record.problem_code = problem.code;
        record.problem = problem.text;
        advance(record, LifeEvent::fail, actions.clock());
    });
    actions.reboot();
}

} // namespace

bool kernel_differs(const std::filesystem::path& booted, const std::filesystem::path& system) {
    return std::ranges::any_of(std::to_array({"kernel", "initrd", "kernel-modules"}), [&](const char* part) {
        std::error_code missing_before;
        std::error_code missing_now;
        const auto before = std::filesystem::canonical(booted / part, missing_before);
        const auto now = std::filesystem::canonical(system / part, missing_now);
        return bool(missing_before) != bool(missing_now) || (!missing_now && before != now);
    });
}

bool starts_by_boot(const DeploymentRecord& record, SystemActions& actions) {
    if (record.goal == protocol::Goal::boot)
        return true;
    return record.goal == protocol::Goal::switch_ && reboots_now(record, actions);
}

bool may_boot_once(const DeploymentRecord& record) {
    return record.goal == protocol::Goal::boot || record.reboot != Reboot::never;
}

void forget_boot(SystemActions& actions) noexcept {
    try {
        actions.boot_loader().forget_once();
    } catch (const std::exception& error) {
        actions.say(fmt::format("the boot loader's entry for one boot was not removed: {}", error.what()));
    }
    actions.remove_boot_watch();
}

void prepare_boot(SystemActions& actions) {
    const auto record = actions.record();
    const bool now = reboots_now(record, actions);
    if (!record.rollback.enable)
        return make_default(actions, now);
    BootLoader& loader = actions.boot_loader();
    if (const auto why = loader.why_not_once(); !why.empty()) {
        const auto sentence = fmt::format("this node's boot loader ({}) {}", loader.name(), why);
        if (now)
            return end_untouched(actions, Outcome::refused, "cannot-boot-once",
                                 sentence + ", so a system that does not come up would boot again and again; say "
                                            "--no-rollback to reboot into it all the same");
        actions.say(sentence + ": the new system is the default from now on, without a way back by itself");
        return make_default(actions, false);
    }
    try {
        actions.set_boot_watch(record);
    } catch (const std::exception& error) {
        actions.say(fmt::format("no watch over the new system's boot could be set ({}): if its agent does not start, "
                                "somebody must reboot the node",
                                error.what()));
    }
    try {
        loader.boot_once(*record.toplevel);
    } catch (const std::exception& error) {
        loader.forget_once();
        actions.remove_boot_watch();
        return end_untouched(actions, Outcome::failed_before_activation, "boot-loader-failed",
                             fmt::format("the boot loader ({}): {}", loader.name(), error.what()));
    }
    actions.change([&](DeploymentRecord& all) {
        advance(all, LifeEvent::boot_prepared, actions.clock());
        all.target.reset(); // a boot starts the system itself
        if (!now)
            end(all, {.outcome = Outcome::ok,
                      .code = "awaits-reboot",
                      .message = "the next boot is of the new system, once; it is kept if it is healthy then"});
    });
    actions.disarm();
    if (now)
        actions.reboot();
}

void look_at_boot(SystemActions& actions, Caller caller) {
    auto record = actions.record();
    if (record.boot_id == actions.boot_id()) {
        // It has not been rebooted yet.
        if (caller == Caller::person)
            return fail(actions, why_going_back(record, caller, false));
        if (record.outcome)
            return; // somebody will, some time
        actions.disarm();
        return actions.reboot(); // whoever had to was killed, or this is the way down, where once more does no harm
    }
    if (record.outcome) // it was told that it would be booted
        record = actions.change([](DeploymentRecord& all) {
            all.outcome.reset();
            all.code.clear();
            all.message.clear();
        });
    if (is_superseded(record, actions))
        return leave_to_others(actions);
    const auto current = actions.current_system();
    if (caller == Caller::boot_watch && current == record.toplevel)
        return reboot_into_old(actions, why_going_back(record, caller, true));
    if (current != record.toplevel)
        return fail(actions, {"not-booted", fmt::format("the node booted {} instead of the new system",
                                                        current ? current->base_name() : "no known system")});
    if (const auto problem = problem_after_boot(record, actions))
        return reboot_into_old(actions, *problem);
    const bool waits = record.reboot != Reboot::never && !record.remove_agent;
    if (waits)
        actions.arm_confirmation(record);
    actions.change([&](DeploymentRecord& all) {
        advance(all, LifeEvent::booted, actions.clock());
        all.boot_id = actions.boot_id();
    });
    if (waits)
        actions.restart_agent(); // reaching an agent that was started after this is the contact
    else
        commit(actions);
}

} // namespace waggle::agent
