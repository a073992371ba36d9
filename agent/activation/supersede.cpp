#include "agent/activation/supersede.hpp"

#include "agent/activation/pending_boot.hpp"
#include "agent/state/record.hpp"

#include <fmt/format.h>

namespace waggle::agent {

using protocol::Outcome;

bool is_superseded(const DeploymentRecord& record, SystemActions& actions) {
    const auto current = actions.current_system();
    // If a specialisation ran, a reboot starts the profile's system instead.
    const bool ours = !current || current == record.toplevel || current == system_of(record) ||
                      current == record.previous_system || current == record.previous_profile;
    // Once the deployment has begun to set the profile, the profile may also name its own system.
    const bool profile_is_ours = actions.profile_link() == record.previous_profile_link ||
                                 (record.state != DeploymentState::activated && actions.profile() == record.toplevel);
    // While the state is `activated`, only another process can have made the previous system current again.
    const bool undone = record.state == DeploymentState::activated && record.boot_id == actions.boot_id() &&
                        current != system_of(record);
    return !ours || !profile_is_ours || undone;
}

void end_as_superseded(SystemActions& actions) {
    if (may_boot_once(actions.record()))
        forget_boot(actions);
    const auto current = actions.current_system();
    const auto sentence = fmt::format(
        "superseded: another process has switched this node, which now runs {}; the system is left unchanged",
        current ? current->base_name() : "no known system");
    actions.say(sentence);
    actions.change([&](DeploymentRecord& record) {
        advance(record, StateEvent::superseded, actions.clock());
        end(record, {.outcome = Outcome::refused, .code = "superseded", .message = sentence});
    });
    actions.disarm();
}

} // namespace waggle::agent
