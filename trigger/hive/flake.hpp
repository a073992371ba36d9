#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/json.hpp"
#include "trigger/hive/nix_options.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::trigger {

// A flake reference, resolved once. Every evaluator of a run gets this tree, even if the original is edited meanwhile.
struct LockedFlake {
    std::string url;                          // identifies the tree by its revision or hash
    std::string nix;                          // the arguments of source.nix for the flake
    nix::StorePath source;                    // the tree
    std::optional<protocol::GitRevision> git; // as far as Nix knows
};

// The experimental features that `nix` needs for flakes.
inline constexpr std::string_view flake_features = "nix-command flakes";

// Lets Nix find the flake, fetch it, and write its lock file if that is incomplete. Passes Nix's other messages, such
// as a warning about a dirty tree, to `on_line`. Throws EvaluationError.
LockedFlake lock_flake(const std::string& flake, const NixOptions& nix, const Interrupt& interrupt,
                       const std::function<void(std::string_view)>& on_line);

// Parses the output of `nix flake metadata --json`. `hash` returns the SRI hash of a folder as a NAR, which some
// versions omit. Throws protocol::BadDocument.
LockedFlake locked_flake_from_json(const protocol::Json& json,
                                   const std::function<std::string(const std::filesystem::path&)>& hash);

// Whether the lock file in the tree is the one that the output of `nix flake metadata --json` describes.
bool has_its_locks(const protocol::Json& json);

// Returns the hash of the folder as a NAR, "sha256-…".
std::string nar_hash(const std::filesystem::path& folder, const Interrupt& interrupt);

} // namespace waggle::trigger
