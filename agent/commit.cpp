#include "agent/commit.hpp"

#include "agent/life.hpp"
#include "agent/reboot.hpp"
#include "agent/roll_back.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <optional>

namespace waggle::agent {

using protocol::Goal;
using protocol::Outcome;

namespace {

Ending good_end(const DeploymentRecord& record, std::optional<std::uint64_t> generation) {
    // Units that failed and were kept.
    const bool flawed = record.problem_code == "units-failed" || record.problem_code == secrets_left;
    return {.outcome = flawed ? Outcome::ok_units_failed : Outcome::ok,
            .code = record.problem_code,
            .message = record.problem,
            .generation = generation};
}

// nullopt when profile and boot loader are set.
std::optional<Problem> set_profile_and_boot_loader(const DeploymentRecord& record, SystemActions& actions) {
    if (const auto result = actions.set_profile(*record.toplevel); !result.success())
        return Problem{"profile-failed", fmt::format("setting the system profile: {}", result.text)};
    actions.drop_old_generations(record); // before the boot menu is written: it has what is left
    if (const auto result = actions.switch_to_configuration(*record.toplevel, "boot", {}); !result.success())
        return Problem{"boot-loader-failed", fmt::format("switch-to-configuration boot: {}", result.text)};
    return std::nullopt;
}

void commit_or_fail(SystemActions& actions) {
    auto record = actions.record();
    if (record.outcome)
        return;
    if (is_superseded(record, actions))
        return leave_to_others(actions);
    if (record.goal == Goal::test) {
        actions.change([&](DeploymentRecord& all) { end(all, good_end(all, std::nullopt)); });
        return actions.disarm();
    }
    if (record.state != DeploymentState::committing)
        record = actions.change([&](DeploymentRecord& all) { advance(all, LifeEvent::commit, actions.clock()); });
    if (const auto problem = set_profile_and_boot_loader(record, actions))
        return fail(actions, *problem);
    forget_boot(actions);
    const auto generation = actions.generation();
    actions.change([&](DeploymentRecord& all) {
        advance(all, LifeEvent::committed, actions.clock());
        end(all, good_end(all, generation));
    });
    actions.disarm();
}

} // namespace

void commit(SystemActions& actions) {
    try {
        commit_or_fail(actions);
    } catch (const std::exception& error) {
        fail(actions, {"commit-failed", error.what()});
    }
}

bool is_superseded(const DeploymentRecord& record, SystemActions& actions) {
    const auto current = actions.current_system();
    // The profile's is what a reboot starts where a specialisation ran.
    const bool ours = !current || current == record.toplevel || current == system_of(record) ||
                      current == record.previous_system || current == record.previous_profile;
    // Once we have begun to set the profile it may be ours, too.
    const bool profile_is_ours = actions.profile_link() == record.previous_profile_link ||
                                 (record.state != DeploymentState::activated && actions.profile() == record.toplevel);
    // A system that is activated is no longer replaced by the one before it, unless somebody did so.
    const bool undone = record.state == DeploymentState::activated && record.boot_id == actions.boot_id() &&
                        current != system_of(record);
    return !ours || !profile_is_ours || undone;
}

void leave_to_others(SystemActions& actions) {
    if (may_boot_once(actions.record()))
        forget_boot(actions);
    const auto current = actions.current_system();
    const auto sentence = fmt::format("superseded: somebody else has switched this node, which now runs {}; it is left "
                                      "as it is",
                                      current ? current->base_name() : "no known system");
    actions.say(sentence);
    actions.change([&](DeploymentRecord& record) {
        advance(record, LifeEvent::superseded, actions.clock());
        end(record, {.outcome = Outcome::refused, .code = "superseded", .message = sentence});
    });
    actions.disarm();
}

} // namespace waggle::agent
