#pragma once

#include "shared/protocol/build_messages.hpp"
#include "shared/protocol/message_limits.hpp"
#include "shared/protocol/outcome.hpp"
#include "shared/protocol/questions.hpp"
#include "shared/protocol/secrets_report.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// A session is a sequence of binary WebSocket messages. The first byte defines what follows:
//   'J' a JSON object with a "type";
//   'S' the next piece of the sealed secret bundle (trigger to agent, right after deploy, if it replaces secrets);
//   'L' the next piece of the closure list's text (trigger to agent, after those, if the goal has a closure, and after
//       build; agent to trigger after recalled and built);
//   'N' u32 little endian index into the closure list, then the next bytes of that path's NAR. A NAR ends when
//       the list's narSize bytes have arrived; NARs follow one another in the order of the requests;
//   'Z' the same, since version 2, but the bytes are the next ones of the zstd frame that holds the NAR.
namespace waggle::protocol {

enum class DeploymentState {
    received,
    fetching,
    staged,
    activating,
    awaiting_reboot, // the boot loader boots the new system next
    activated,       // runs, and waits for its confirmation
    committing,      // confirmed: the profile and the boot loader are being set
    committed,
    rolling_back,
    rolled_back,
    failed
};
std::string_view to_string(DeploymentState state);
std::optional<DeploymentState> parse_state(std::string_view text);

struct Running {
    DeploymentId id;
    DeploymentState state = DeploymentState::received;
    Time since;
    std::string operator_key; // fingerprint of the operator whose deployment it is
};

// agent → trigger, right after hello: the state of the node.
struct Facts {
    int version = 0;                           // of the session protocol, chosen by the agent
    std::string agent_version;                 // "0.1.0"
    std::string system;                        // "x86_64-linux"
    std::string nix_version;                   // "" if the nix daemon is unavailable
    std::optional<std::string> current_system; // store paths
    std::optional<std::string> booted_system;
    std::optional<std::string> profile;
    std::int64_t last_sequence = 0;
    std::optional<DeploymentId> last_admitted;
    std::optional<Running> running;
    // The deployment that this agent, which the activated system has started, commits on Confirm.
    std::optional<DeploymentId> awaits_confirmation;
    std::string boot_id;        // of the node's current boot
    bool holds_secrets = false; // a bundle with at least one secret is installed, which a hive without any must remove
    std::vector<std::string> failed_units; // of the running system, the first ones
    Time time;
};
inline constexpr size_t max_failed_units = 32;

// agent → trigger: this session or this deployment is refused, with a code and a sentence.
struct Refused {
    std::string code;
    std::string message;
};

// trigger → agent: the document. Then the sealed bundle follows in 'S' messages, if it replaces secrets, and the
// closure list in 'L' messages, if the goal has one.
struct Deploy {
    SignedDocument document;
};

// agent → trigger: the deployment is admitted. `attached` if it was running or had ended already (same ID).
struct Admitted {
    DeploymentId id;
    bool attached = false;
};

// agent → trigger: send these NARs, in this order. Cumulative.
struct Want {
    std::vector<std::uint32_t> indices;
};

// agent → trigger: an event of a deployment. Numbers count from 1 without gaps, so that a trigger that reconnects can
// name the last one that it has seen (Attach.after).
struct Event {
    enum class Kind { state, progress, log, note };
    std::uint64_t number = 0;
    Time time;
    Kind kind = Kind::state;
    DeploymentState state = DeploymentState::received;
    std::string text;             // a log line, or a sentence
    std::uint64_t paths_done = 0; // progress of the fetch
    std::uint64_t paths_total = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_total = 0;
};

// agent → trigger: the last message of a deployment.
struct Result {
    DeploymentId id;
    Outcome outcome = Outcome::ok;
    std::string code;                        // for refusals and failures, a short stable word
    std::string message;                     // a sentence; empty when ok
    std::optional<std::uint64_t> generation; // of the system profile
    std::uint64_t fetched_paths = 0;
    std::uint64_t fetched_bytes = 0; // NAR bytes over the session
};

// trigger → agent: continue with the events of a deployment after the given number (0: all that are kept).
struct Attach {
    DeploymentId id;
    std::uint64_t after = 0;
};

// trigger → agent: cancel the deployment, if its activation has not begun.
struct Cancel {
    DeploymentId id;
};

// trigger → agent: the node was reached after the activation; keep the new system. Only an agent that the new system
// has started accepts this (Facts.awaits_confirmation). Others answer with Refused "not-awaited".
struct Confirm {
    DeploymentId id;
};

using Message = std::variant<Facts, Refused, Deploy, Admitted, Want, Event, Result, Attach, Cancel, Confirm,
                             CheckHealth, HealthReport, RebootNode, Rebooting, GetHistory, History, Recall, Recalled,
                             GetSecrets, SecretsReport, Build, BuildProgress, BuildLine, Built, NotBuilt>;

// 'J' and the JSON text.
std::string encode(const Message& message);

struct ClosureListPiece {
    std::string_view text;
};
struct SecretBundlePiece {
    std::string_view bytes;
};
struct NarPiece {
    std::uint32_t index;
    std::string_view bytes;
};
struct CompressedNarPiece {
    std::uint32_t index;
    std::string_view bytes; // of the frame
};
std::string encode_closure_list_piece(std::string_view text);
std::string encode_secret_bundle_piece(std::string_view bytes);
std::string encode_nar_piece(std::uint32_t index, std::span<const std::byte> bytes);
std::string encode_compressed_nar_piece(std::uint32_t index, std::span<const std::byte> bytes);

// Views point into `bytes`. Throws BadDocument.
using Incoming = std::variant<Message, ClosureListPiece, SecretBundlePiece, NarPiece, CompressedNarPiece>;
Incoming decode(std::string_view bytes);

} // namespace waggle::protocol
