#pragma once

#include "shared/base/fd.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/outcome.hpp"
#include "shared/ssh/key.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The newest deployment that this node has admitted. Admission compares sequence, parent and time with it.
struct LastAdmitted {
    protocol::DeploymentId id;
    std::int64_t sequence = 0;
    Time created;             // never past the node's clock by more than agent/daemon/admission.hpp's tolerance
    std::string operator_key; // fingerprint
};

// A sealed bundle of secrets in the state directory, by the deployment that brought it (agent/secrets).
struct BundleRef {
    protocol::DeploymentId id;
    std::int64_t sequence = 0;
    Sha256Digest sha256{};
    std::uint64_t bytes = 0;
    // The hive and the node that the deployment was for; "" in files of older versions: the current names.
    std::string hive = {};
    std::string node = {};
    bool operator==(const BundleRef&) const = default;
};

struct StateLogEntry {
    protocol::DeploymentState state = protocol::DeploymentState::received;
    Time at;
    bool operator==(const StateLogEntry&) const = default;
};

// The keys that may deploy to this node, and those that once could. agent/node/operators.hpp has the rules.
struct OperatorList {
    std::vector<ssh::PublicKey> current;
    std::vector<ssh::PublicKey> removed; // oldest first
    bool operator==(const OperatorList&) const = default;
};

// The state of the newest deployment. The daemon writes it until the activation begins, and the units that change the
// system write it from then on. agent/state/life.hpp has the table of transitions.
struct DeploymentRecord {
    protocol::DeploymentId id;
    protocol::Goal goal = protocol::Goal::switch_;
    std::optional<nix::StorePath> toplevel;
    protocol::Rollback rollback;
    protocol::Reboot reboot = protocol::Reboot::never;
    bool remove_agent = false;
    bool install_boot_loader = false;
    std::optional<BundleRef> bundle; // the secrets that it brings; nullopt: keep the present ones
    bool secrets_only = false;       // do not change the system
    protocol::DeploymentState state = protocol::DeploymentState::received;
    Time since;                           // when the state began
    std::vector<StateLogEntry> state_log; // every state so far, newest last; its length detects loops
    std::string operator_key;
    std::optional<OperatorList> next_operators; // in force after the commit
    // Recorded right before the activation:
    std::optional<nix::StorePath> previous_system; // the running system
    std::optional<nix::StorePath> previous_profile;
    std::string previous_profile_link;     // "system-12-link"; "" when there was none
    std::string agent;                     // the agent that began the activation and performs a rollback
    std::string config;                    // its configuration file
    std::string boot_id;                   // the boot during which it was activated
    std::vector<std::string> failed_units; // failed before the activation
    std::optional<nix::StorePath> target;  // the specialisation to switch to; nullopt: the toplevel itself
    std::string problem;                   // the reason for the rollback; becomes the message
    std::string problem_code;
    std::optional<protocol::Outcome> outcome; // set once the deployment has ended
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation; // of the system profile
    std::uint64_t fetched_paths = 0;
    std::uint64_t fetched_bytes = 0;

    // The fields that the record has by the time they are needed. Throw Error if the record lacks them, which only a
    // file that was changed by hand or a bug can cause.
    const nix::StorePath& require_toplevel() const;        // every goal that has a closure
    const nix::StorePath& require_previous_system() const; // from the beginning of the activation
    protocol::Outcome require_outcome() const;             // once the deployment has ended
};

// The system that an activation of the record switches to.
inline const std::optional<nix::StorePath>& system_of(const DeploymentRecord& record) {
    return record.target ? record.target : record.toplevel;
}

// Versions of the file format. 1: up to 0.1.0. 2: adds "target", "operators", "nextOperators" and the fields for
// secrets.
inline constexpr int oldest_state_version = 1;
inline constexpr int newest_state_version = 2;

struct State {
    int version = newest_state_version; // of the file that it was read from
    std::optional<LastAdmitted> last_admitted;
    std::optional<DeploymentRecord> deployment;
    std::optional<OperatorList> operators; // in force before `deployment` is committed
    std::optional<BundleRef> secrets;      // the committed bundle before `deployment` was admitted

    // The record of a deployment that has begun. Throws Error if there is none: it was removed at the console, or the
    // state is unreadable.
    DeploymentRecord& require_deployment();
    const DeploymentRecord& require_deployment() const;
};

// Writes the format of the state's version, without the fields that version does not have.
std::string to_text(const State& state);
// Throws protocol::BadDocument for text that no version up to this one can have written.
State parse_state_text(std::string_view text, std::string_view name_for_errors);

// state.json in the agent's state directory. The file is authoritative: the daemon and the units that change the system
// read it again for every change and write it one at a time (flock). Safe to use from several threads.
class StateKeeper {
public:
    enum class Condition {
        none, // no file: a new node
        known,
        corrupt, // unreadable or of a newer version: admit nothing and write nothing
    };

    explicit StateKeeper(std::filesystem::path state_dir);

    Condition condition() const;
    // For a corrupt state: what is wrong and what to do.
    std::string problem() const;
    State get() const; // empty if there is none or it is corrupt

    // Changes the state with `edit`, all or nothing. Throws what `edit` throws, and Error if the state is corrupt or
    // cannot be written. The file keeps its format version until a deployment is committed, because the previous agent
    // may have to read it.
    State change(const std::function<void(State&)>& edit);

    // Renames a corrupt state file to state.json.corrupt. This also discards the list of removed operators.
    void reset();

    const std::filesystem::path& folder() const { return folder_; }
    static std::filesystem::path file_in(const std::filesystem::path& state_dir);

private:
    struct Content {
        Condition condition = Condition::none;
        State state;
        std::string problem;
    };
    Content read() const;

    std::filesystem::path folder_;
    mutable std::mutex mutex_; // flock does not exclude threads of one process
};

// Takes an exclusive flock(2), which the descriptor holds until it is closed. Throws TimedOut.
Fd lock_file(const std::filesystem::path& file, Deadline deadline);

// Excludes concurrent changes to the system by activation, commit and rollback. The kernel releases it when the process
// dies.
class ActivationLock {
public:
    // Throws TimedOut.
    ActivationLock(const std::filesystem::path& state_dir, Deadline deadline);

private:
    Fd fd_;
};

} // namespace waggle::agent
