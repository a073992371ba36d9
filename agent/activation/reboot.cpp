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
           (record.reboot == Reboot::if_needed && actions.needs_reboot(record.require_toplevel()));
}

void end_untouched(SystemActions& actions, Outcome outcome, const std::string& code, const std::string& message) {
    actions.change([&](DeploymentRecord& record) {
        advance(record, StateEvent::nothing_activated, actions.clock());
        end(record, {.outcome = outcome, .code = code, .message = message});
    });
    actions.disarm();
}

// Makes the new system the permanent default. The boot loader will not roll back on its own.
void make_default(SystemActions& actions, bool reboot) {
    commit(actions);
    if (reboot && actions.record().state == DeploymentState::committed)
        actions.reboot();
}

// Reboots into the old system, which is the default: the new one was booted once.
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
                                 sentence + ", so a system that does not come up would boot again and again; use "
                                            "--no-rollback to reboot into it anyway");
        actions.say(sentence + ": the new system is now the boot default and is not rolled back automatically");
        return make_default(actions, false);
    }
    try {
        actions.set_boot_watch(record);
    } catch (const std::exception& error) {
        actions.say(fmt::format(
            "could not set the boot watchdog ({}): if the new system's agent does not start, reboot the node by hand",
            error.what()));
    }
    try {
        loader.boot_once(record.require_toplevel());
    } catch (const std::exception& error) {
        loader.forget_once();
        actions.remove_boot_watch();
        return end_untouched(actions, Outcome::failed_before_activation, "boot-loader-failed",
                             fmt::format("the boot loader ({}): {}", loader.name(), error.what()));
    }
    actions.change([&](DeploymentRecord& all) {
        advance(all, StateEvent::boot_prepared, actions.clock());
        all.target.reset(); // a boot starts the toplevel, not a specialisation
        if (!now)
            end(all, {.outcome = Outcome::ok,
                      .code = "awaits-reboot",
                      .message = "the next boot starts the new system once; it is kept if it is healthy"});
    });
    actions.disarm();
    if (now)
        actions.reboot();
}

void inspect_boot(SystemActions& actions, RecoveryCause caller) {
    auto record = actions.record();
    if (record.boot_id == actions.boot_id()) {
        // The node has not been rebooted yet.
        if (caller == RecoveryCause::person)
            return fail(actions, rollback_reason(record, caller, false));
        if (record.outcome)
            return; // the operator reboots the node later
        actions.disarm();
        // The process that should reboot was killed, or a shutdown is already under way; repeating is harmless.
        return actions.reboot();
    }
    if (record.outcome) // the deployment ended as awaiting the reboot
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
        actions.restart_agent(); // an operator's session with an agent that starts after this is the confirmation
    else
        commit(actions);
}

} // namespace waggle::agent
