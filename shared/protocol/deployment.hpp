#pragma once

#include "shared/base/hash.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/closure_summary.hpp"
#include "shared/ssh/key.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// What a node must do with a toplevel. `build` never leaves the trigger. `upload_keys` has no toplevel: it delivers
// only the secrets.
enum class Goal { build, push, switch_, boot, test, dry_activate, upload_keys };
std::string_view to_string(Goal goal); // "switch", "dry-activate", …
std::optional<Goal> parse_goal(std::string_view text);
bool activates(Goal goal);     // runs switch-to-configuration
bool sets_profile(Goal goal);  // switch and boot
bool has_closure(Goal goal);   // all but upload-keys
bool takes_secrets(Goal goal); // may replace the node's secrets: switch, boot, test, upload-keys

// The SHA-256 of a deployment's payload.
struct DeploymentId {
    Sha256Digest digest{};

    std::string to_string() const;                   // 64 hexadecimal digits
    std::string brief() const;                       // the first 12
    static DeploymentId parse(std::string_view hex); // throws BadDocument
    auto operator<=>(const DeploymentId&) const = default;
};

struct Secrets {
    bool keep = true; // false: exactly the bundle described below
    Sha256Digest sha256{};
    std::uint64_t bytes = 0;
    bool operator==(const Secrets&) const = default;
};

struct Rollback {
    bool enable = true;
    std::chrono::seconds confirm_timeout{60};      // from the end of the activation to the confirmation
    std::chrono::seconds activation_timeout{1800}; // for switch-to-configuration and the health checks
    bool keep_on_failed_units = false;             // onFailedUnits: "keep", else "rollback"
    bool operator==(const Rollback&) const = default;
};

struct GitRevision {
    std::string rev; // 40 or 64 hexadecimal digits
    bool dirty = false;
    bool operator==(const GitRevision&) const = default;
};

enum class Delivery { session, channel };
enum class Reboot { never, always, if_needed };
std::string_view to_string(Reboot reboot); // "never", "always", "ifNeeded"
std::optional<Reboot> parse_reboot(std::string_view text);
enum class LocalContent { trust_node, exact };

// A file or folder of the system that a boot loader copies to /boot: kernel, initrd, device trees.
struct BootFile {
    std::string name; // below /nix/store, '/' as '-': "4f1…-linux-6.1.0-bzImage", as NixOS's boot loaders name it
    std::uint64_t bytes = 0;
    bool operator==(const BootFile&) const = default;
};

// A signed document that tells one node what to do. docs/reference/protocol.md describes each field.
struct Deployment {
    std::string hive;
    std::string node;
    std::vector<ssh::PublicKey> node_keys;
    std::string system; // "x86_64-linux"
    Goal goal = Goal::switch_;
    std::optional<nix::StorePath> toplevel;
    std::optional<ClosureSummary> closure;
    Secrets secrets;
    std::int64_t sequence = 0; // ms since 1970, greater than the last one that the agent reported
    std::optional<DeploymentId> parent;
    Time created;
    Time not_before;
    Time expires;
    Delivery delivery = Delivery::session;
    Rollback rollback;
    Reboot reboot = Reboot::never;
    bool remove_agent = false;
    LocalContent local_content = LocalContent::trust_node;
    bool retry = false;
    bool reset_state = false;         // discard a state file that the node cannot read
    bool install_boot_loader = false; // the boot loader itself, in addition to its menu
    std::optional<GitRevision> git;
    // The system's specialisation to switch to. nullopt: the running one, if the new system has it; "": none.
    std::optional<std::string> specialisation;
    std::vector<BootFile> boot_files; // as far as the operator's machine knows them

    bool operator==(const Deployment&) const = default;

    // The fields of every goal that has a closure, which parse_deployment() checks. Throw Error if the field is
    // missing.
    const nix::StorePath& require_toplevel() const;
    const ClosureSummary& require_closure() const;
};

inline constexpr size_t max_payload_bytes = 64 << 10;
inline constexpr size_t max_boot_files = 64;
inline constexpr std::uint64_t max_boot_file_bytes = std::uint64_t{1} << 40;
inline constexpr std::uint64_t max_secret_bundle_bytes = 16 << 20;
inline constexpr std::chrono::seconds max_confirm_timeout = std::chrono::hours{24};
inline constexpr std::chrono::seconds max_activation_timeout = std::chrono::hours{24};

// The payload: JSON text. These exact bytes are signed.
std::string to_payload(const Deployment& deployment);
// Throws BadDocument, naming the field.
Deployment parse_deployment(std::string_view payload);

} // namespace waggle::protocol
