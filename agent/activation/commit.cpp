#include "agent/activation/commit.hpp"

#include "agent/activation/pending_boot.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/activation/supersede.hpp"
#include "agent/state/record.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <optional>

namespace waggle::agent {

using protocol::Goal;
using protocol::Outcome;

namespace {

Ending good_end(const DeploymentRecord& record, std::optional<std::uint64_t> generation) {
    // The system is kept although units failed or an old secret could not be removed.
    const bool flawed = record.problem_code == "units-failed" || record.problem_code == secrets_left;
    return {.outcome = flawed ? Outcome::ok_units_failed : Outcome::ok,
            .code = record.problem_code,
            .message = record.problem,
            .generation = generation};
}

// Returns nullopt once profile and boot loader are set.
std::optional<Problem> set_profile_and_boot_loader(const DeploymentRecord& record, SystemActions& actions) {
    if (const auto result = actions.set_profile(record.require_toplevel()); !result.success())
        return Problem{"profile-failed", fmt::format("setting the system profile: {}", result.text)};
    actions.drop_old_generations(record); // before the boot menu is written, which lists what is left
    if (const auto result = actions.switch_to_configuration(
            record.require_toplevel(), "boot",
            {.waits_for_lock = true, .install_boot_loader = record.install_boot_loader});
        !result.success())
        return Problem{"boot-loader-failed", fmt::format("switch-to-configuration boot: {}", result.text)};
    return std::nullopt;
}

void commit_or_fail(SystemActions& actions) {
    auto record = actions.record();
    if (record.outcome)
        return;
    if (is_superseded(record, actions))
        return end_as_superseded(actions);
    if (record.goal == Goal::test) {
        actions.change([&](DeploymentRecord& all) { end(all, good_end(all, std::nullopt)); });
        return actions.disarm();
    }
    if (record.state != DeploymentState::committing)
        record = actions.change([&](DeploymentRecord& all) { advance(all, StateEvent::commit, actions.clock()); });
    if (const auto problem = set_profile_and_boot_loader(record, actions))
        return fail(actions, *problem);
    forget_boot(actions);
    const auto generation = actions.generation();
    actions.change([&](DeploymentRecord& all) {
        advance(all, StateEvent::committed, actions.clock());
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

} // namespace waggle::agent
