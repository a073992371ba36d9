#include "agent/activation/recover.hpp"

#include "agent/activation/commit.hpp"
#include "agent/activation/pending_boot.hpp"
#include "agent/activation/reboot.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/activation/supersede.hpp"
#include "agent/state/life.hpp"

namespace waggle::agent {

void recover(SystemActions& actions, RecoveryCause caller) {
    const auto record = actions.record();
    if (record.state == DeploymentState::awaiting_reboot)
        return inspect_boot(actions, caller);
    if (record.outcome) {
        if (caller == RecoveryCause::boot_watch) // an earlier deployment may have prepared the boot
            forget_boot(actions);
        else if (record.state == DeploymentState::rolled_back) // its writer may have been killed before this
            actions.restart_agent();
        return actions.disarm();
    }
    const bool rebooted = record.boot_id != actions.boot_id();
    switch (restart_rule(record.state)) {
    case RestartRule::roll_back:
        if (record.state == DeploymentState::rolling_back)
            return resume_rollback(actions);
        return !record.secrets_only && is_superseded(record, actions)
                   ? end_as_superseded(actions)
                   : fail(actions, rollback_reason(record, caller, rebooted));
    case RestartRule::await_confirmation:
        if (is_superseded(record, actions))
            return end_as_superseded(actions);
        if ((caller == RecoveryCause::agent || caller == RecoveryCause::boot_watch) && !rebooted)
            return; // the confirmation timer ends the wait
        return fail(actions, rollback_reason(record, caller, rebooted));
    case RestartRule::finish:
        if (actions.current_system() == system_of(record) || record.goal == protocol::Goal::boot)
            return commit(actions);
        return fail(actions, rollback_reason(record, caller, rebooted));
    case RestartRule::inspect_boot:
    case RestartRule::give_up:
    case RestartRule::none: return;
    }
}

} // namespace waggle::agent
