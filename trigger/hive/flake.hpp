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

// What a flake reference meant when it was looked at: whoever evaluates it gets this tree, whatever is edited
// meanwhile.
struct LockedFlake {
    std::string url;                          // says which tree, by its revision or hash
    std::string nix;                          // arguments of source.nix that are the flake
    nix::StorePath source;                    // the tree
    std::optional<protocol::GitRevision> git; // as far as Nix knows
};

// What `nix` needs to know flakes.
inline constexpr std::string_view flake_features = "nix-command flakes";

// Has Nix find the flake, fetch it, and write its lock file where that is not complete. What Nix says besides, as that
// the tree is dirty, goes to `on_line`. Throws EvaluationError.
LockedFlake lock_flake(const std::string& flake, const NixOptions& nix, const Interrupt& interrupt,
                       const std::function<void(std::string_view)>& on_line);

// From what `nix flake metadata --json` prints; `hash` gives the SRI hash of a folder as a NAR, which some versions
// leave out. Throws protocol::BadDocument.
LockedFlake locked_flake_from_json(const protocol::Json& json,
                                   const std::function<std::string(const std::filesystem::path&)>& hash);

// Whether the lock file in the tree is the one that the answer of `nix flake metadata --json` is about.
bool has_its_locks(const protocol::Json& json);

// "sha256-…" of a folder as a NAR.
std::string nar_hash(const std::filesystem::path& folder, const Interrupt& interrupt);

} // namespace waggle::trigger
