#pragma once

#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/outcome.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::agent {

// The newest deployment this node has admitted: what sequence, parent and clock are held against.
struct LastAdmitted {
    protocol::DeploymentId id;
    std::int64_t sequence = 0;
    Time created;
    std::string operator_key; // fingerprint
};

// How far the newest deployment has come.
struct DeploymentRecord {
    protocol::DeploymentId id;
    protocol::Goal goal = protocol::Goal::switch_;
    std::optional<nix::StorePath> toplevel;
    protocol::DeploymentState state = protocol::DeploymentState::received;
    Time since; // of the state
    std::string operator_key;
    std::optional<nix::StorePath> previous_system; // what ran before the activation
    std::optional<nix::StorePath> previous_profile;
    std::optional<protocol::Outcome> outcome; // set when it has ended
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation; // of the system profile
    std::uint64_t fetched_paths = 0;
    std::uint64_t fetched_bytes = 0;
};

struct State {
    std::optional<LastAdmitted> last_admitted;
    std::optional<DeploymentRecord> deployment;
};

std::string to_text(const State& state);
// Throws protocol::BadDocument for anything that this version did not write.
State parse_state_text(std::string_view text, std::string_view name_for_errors);

// state.json in the agent's state directory, and what is in it. Safe to use from several threads.
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
    const std::string& problem() const { return problem_; }
    State get() const;

    // Changes the state: on disk first, then in memory. Throws, and changes nothing, when it cannot be written.
    void change(const std::function<void(State&)>& edit);

    static std::filesystem::path file_in(const std::filesystem::path& state_dir);

private:
    std::filesystem::path file_;
    std::string problem_;
    mutable std::mutex mutex_;
    Condition condition_ = Condition::none;
    State state_;
};

} // namespace waggle::agent
