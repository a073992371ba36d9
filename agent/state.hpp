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

// The newest deployment this node has admitted: what sequence, parent and clock are held against.
struct LastAdmitted {
    protocol::DeploymentId id;
    std::int64_t sequence = 0;
    Time created;
    std::string operator_key; // fingerprint
};

// A sealed bundle of secrets in the state directory, by the deployment that brought it (agent/secrets).
struct BundleRef {
    protocol::DeploymentId id;
    std::int64_t sequence = 0;
    Sha256Digest sha256{};
    std::uint64_t bytes = 0;
    bool operator==(const BundleRef&) const = default;
};

struct TrailEntry {
    protocol::DeploymentState state = protocol::DeploymentState::received;
    Time at;
    bool operator==(const TrailEntry&) const = default;
};

// Who may deploy to this node, and who could once. agent/operators.hpp has the rules.
struct OperatorList {
    std::vector<ssh::PublicKey> current;
    std::vector<ssh::PublicKey> removed; // the oldest first
    bool operator==(const OperatorList&) const = default;
};

// How far the newest deployment has come. Written by the daemon until the activation begins, from then on by the units
// that change the system. agent/life.hpp says which state follows which.
struct DeploymentRecord {
    protocol::DeploymentId id;
    protocol::Goal goal = protocol::Goal::switch_;
    std::optional<nix::StorePath> toplevel;
    protocol::Rollback rollback;
    protocol::Reboot reboot = protocol::Reboot::never;
    bool remove_agent = false;
    std::optional<BundleRef> bundle; // the secrets it brings; nullopt: those that are there stay
    bool secrets_only = false;       // the system stays as it is
    protocol::DeploymentState state = protocol::DeploymentState::received;
    Time since;                    // of the state
    std::vector<TrailEntry> trail; // every state so far, the newest last; its length ends loops
    std::string operator_key;
    std::optional<OperatorList> next_operators; // this node's once it is committed
    // Of the moment before the activation:
    std::optional<nix::StorePath> previous_system; // what ran
    std::optional<nix::StorePath> previous_profile;
    std::string previous_profile_link;     // "system-12-link"; "" when there was none
    std::string agent;                     // the program that began the activation, and that goes back
    std::string config;                    // its configuration file
    std::string boot_id;                   // of the boot in which it was activated
    std::vector<std::string> failed_units; // failed already, so no fault of the new system
    std::optional<nix::StorePath> target;  // the specialisation of the toplevel that is switched to; nullopt: itself
    std::string problem;                   // why it is being rolled back: the message of the end
    std::string problem_code;
    std::optional<protocol::Outcome> outcome; // set when it has ended
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation; // of the system profile
    std::uint64_t fetched_paths = 0;
    std::uint64_t fetched_bytes = 0;
};

// What runs when the record's deployment is activated.
inline const std::optional<nix::StorePath>& system_of(const DeploymentRecord& record) {
    return record.target ? record.target : record.toplevel;
}

// Of the file's form. 1: up to 0.1.0. 2: with "target", "operators", "nextOperators" and what secrets
// need.
inline constexpr int oldest_state_version = 1;
inline constexpr int newest_state_version = 2;

struct State {
    int version = newest_state_version; // of the file it was read from
    std::optional<LastAdmitted> last_admitted;
    std::optional<DeploymentRecord> deployment;
    std::optional<OperatorList> operators; // before the deployment above is committed
    std::optional<BundleRef> secrets;      // the committed ones before `deployment` was admitted
};

// In the form of the state's version: what that does not know is left out.
std::string to_text(const State& state);
// Throws protocol::BadDocument for anything that no version up to this one wrote.
State parse_state_text(std::string_view text, std::string_view name_for_errors);

// state.json in the agent's state directory. The file is the truth: the daemon and the units that change the system all
// read it anew and write it, one at a time (flock). Safe to use from several threads, too.
class StateKeeper {
public:
    enum class Condition {
        none, // no file: a fresh node
        known,
        corrupt, // unreadable, or of a newer version: nothing is admitted, nothing is written
    };

    explicit StateKeeper(std::filesystem::path state_dir);

    Condition condition() const;
    // Of a corrupt state: one sentence with what to do.
    std::string problem() const;
    State get() const; // empty when there is none or it is corrupt

    // Changes the state: what `edit` throws is passed on, and nothing is changed then. Throws, and changes nothing,
    // when the state is corrupt or cannot be written. The file keeps the form that it has until a deployment is
    // committed: the agent of before may have to read it.
    State change(const std::function<void(State&)>& edit);

    // Forgets a corrupt state (moves the file aside, to state.json.corrupt), and with it which operators were removed.
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
    mutable std::mutex mutex_; // flock alone does not keep threads of one process apart
};

// An exclusive flock(2), held until the descriptor is closed. Throws TimedOut.
Fd lock_file(const std::filesystem::path& file, Deadline deadline);

// Held by whatever changes the system (activation, commit, rollback) while it does: one at a time on this node. Freed
// by the kernel when its process dies.
class LifeLock {
public:
    // Throws TimedOut.
    LifeLock(const std::filesystem::path& state_dir, Deadline deadline);

private:
    Fd fd_;
};

} // namespace waggle::agent
