#include "agent/activation/reboot.hpp"

#include "agent/activation/commit.hpp"
#include "agent/activation/examine.hpp"
#include "agent/activation/pending_boot.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/activation/supersede.hpp"
#include "agent/node/boot_loader.hpp"
#include "agent/state/record.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

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
        advance(record, StateEvent::nothing_activated, actions.clock());
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

// The old system is what boots next: the new one was booted once.
void reboot_into_old(SystemActions& actions, const Problem& problem) {
    actions.say(fmt::format("{}; rebooting into the old system", problem.text));
    actions.change([&](DeploymentRecord& record) {
        record.problem_code = problem.code;
        record.problem = problem.text;
        advance(record, StateEvent::fail, actions.clock());
    });
    actions.reboot();
}

} // namespace

bool starts_by_boot(const DeploymentRecord& record, SystemActions& actions) {
    if (record.goal == protocol::Goal::boot)
        return true;
    return record.goal == protocol::Goal::switch_ && reboots_now(record, actions);
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
        advance(all, StateEvent::boot_prepared, actions.clock());
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

void inspect_boot(SystemActions& actions, RecoveryCause caller) {
    auto record = actions.record();
    if (record.boot_id == actions.boot_id()) {
        // It has not been rebooted yet.
        if (caller == RecoveryCause::person)
            return fail(actions, rollback_reason(record, caller, false));
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
        return end_as_superseded(actions);
    const auto current = actions.current_system();
    if (caller == RecoveryCause::boot_watch && current == record.toplevel)
        return reboot_into_old(actions, rollback_reason(record, caller, true));
    if (current != record.toplevel)
        return fail(actions, {"not-booted", fmt::format("the node booted {} instead of the new system",
                                                        current ? current->base_name() : "no known system")});
    if (const auto problem = examine(actions))
        return reboot_into_old(actions, *problem);
    const bool waits = record.reboot != Reboot::never && !record.remove_agent;
    if (waits)
        actions.arm_confirmation(record);
    actions.change([&](DeploymentRecord& all) {
        advance(all, StateEvent::booted, actions.clock());
        all.boot_id = actions.boot_id();
    });
    if (waits)
        actions.restart_agent(); // reaching an agent that was started after this is the contact
    else
        commit(actions);
}

} // namespace waggle::agent
