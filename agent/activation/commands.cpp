#include "agent/activation/commands.hpp"

#include "agent/activation/activate.hpp"
#include "agent/activation/commit.hpp"
#include "agent/activation/local_actions.hpp"
#include "agent/activation/recover.hpp"
#include "agent/activation/roll_back.hpp"
#include "agent/node/gc_roots.hpp"
#include "agent/node/host.hpp"
#include "agent/state/life.hpp"
#include "agent/units/transient_units.hpp"
#include "agent/units/unit_output.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

// Longer than any step that the lock's holder may be in. A hanging activation does not count, because it is killed.
constexpr auto lock_timeout = 20min;

bool is_newest(const StateKeeper& state, const protocol::DeploymentId& id) {
    const auto record = state.get().deployment;
    return record && record->id == id;
}

// Runs one step of deployment `id` under the activation lock, between its marks in the journal.
template <typename Part>
int run_part(const std::filesystem::path& state_dir, const protocol::DeploymentId& id, const Part& part) {
    StateKeeper state(state_dir);
    if (state.condition() == StateKeeper::Condition::corrupt)
        throw Error(state.problem());
    if (!is_newest(state, id))
        return 0;
    const ActivationLock lock(state_dir, deadline_in(lock_timeout));
    if (!is_newest(state, id))
        return 0;
    LocalActions actions(state);
    actions.say(begin_mark(id));
    try {
        part(actions);
    } catch (const std::exception& error) {
        actions.say(error.what());
        actions.say(end_mark(id));
        return 1;
    }
    actions.say(end_mark(id));
    return 0;
}

// Kills the activation if it hangs. Records the reason before that, because the activation may be about to end.
void kill_hanging_activation(const std::filesystem::path& state_dir, const protocol::DeploymentId& id,
                             RecoveryCause caller) {
    StateKeeper state(state_dir);
    const auto hangs = [&](const State& all) {
        return all.deployment && all.deployment->id == id && !all.deployment->outcome &&
               all.deployment->state == DeploymentState::activating;
    };
    if ((caller != RecoveryCause::activation_timer && caller != RecoveryCause::person) || !hangs(state.get()))
        return;
    state.change([&](State& all) {
        if (!hangs(all))
            return;
        const auto problem = rollback_reason(*all.deployment, caller, false);
        all.deployment->problem_code = problem.code;
        all.deployment->problem = problem.text;
    });
    SystemdUnits::kill_activation();
}

// Rolls back deployment `id` although its record is unreadable. Its GC root names the system that ran before.
int roll_back_without_record(StateKeeper& state, const protocol::DeploymentId& id) {
    const ActivationLock lock(state.folder(), deadline_in(lock_timeout));
    LocalActions actions(state);
    actions.say(begin_mark(id));
    actions.say(state.problem());
    roll_back_to_root(actions, GcRoots(state.folder()).previous_system(id));
    actions.say(end_mark(id));
    return 0;
}

} // namespace

int run_activation(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    return run_part(state_dir, id, [](SystemActions& actions) {
        if (actions.record().state == DeploymentState::activating)
            activate(actions);
    });
}

int run_commit(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    return run_part(state_dir, id, [](SystemActions& actions) {
        const auto state = actions.record().state;
        if (state == DeploymentState::activated || state == DeploymentState::committing)
            commit(actions);
    });
}

int run_recovery(const std::filesystem::path& state_dir, const protocol::DeploymentId& id, RecoveryCause caller) {
    kill_hanging_activation(state_dir, id, caller);
    if (StateKeeper state(state_dir); state.condition() == StateKeeper::Condition::corrupt)
        return roll_back_without_record(state, id);
    return run_part(state_dir, id, [&](SystemActions& actions) { recover(actions, caller); });
}

int run_boot_watch(const std::filesystem::path& state_dir, const protocol::DeploymentId& id,
                   const nix::StorePath& system) {
    StateKeeper state(state_dir);
    if (state.condition() == StateKeeper::Condition::known)
        return run_recovery(state_dir, id, RecoveryCause::boot_watch);
    // This system may have failed to mount the state directory. The next boot starts the old system.
    LocalActions actions(state);
    if (actions.current_system() == system) {
        actions.say("the state of this node cannot be read in the system that was booted once; rebooting into the old "
                    "one");
        actions.reboot();
    }
    return 0;
}

int resume_recovery(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    const StateKeeper state(state_dir);
    if (state.condition() == StateKeeper::Condition::corrupt) {
        DeploymentRecord record; // only its id is known
        record.id = id;
        record.agent = own_program();
        SystemdUnits(state_dir).start_recovery(record, RecoveryCause::agent);
        return 0;
    }
    const auto record = state.get().deployment;
    if (!record || record->id != id)
        return 0;
    // systemd.exec(5): how the unit ended. A unit that was killed after it had recorded the outcome has not carried out
    // its last actions.
    const char* result = std::getenv("SERVICE_RESULT");
    const bool died = result != nullptr && std::string_view(result) != "success";
    if (record->outcome ? !died : record->state == DeploymentState::activated)
        return 0;
    SystemdUnits(state_dir).start_recovery(*record, RecoveryCause::agent);
    return 0;
}

} // namespace waggle::agent
