#pragma once

#include "trigger/hive/find.hpp"
#include "trigger/hive/flake.hpp"

namespace waggle::trigger {

// The arguments that every evaluator of a run gets.
struct HiveSource {
    std::string shown;                        // for messages
    std::filesystem::path folder;             // where GC roots are kept
    std::string expression;                   // a Nix expression for the attributes of nixos-module/hive.nix
    std::vector<std::string> arguments;       // for nix-instantiate
    std::optional<std::string> lock;          // everything else that the evaluation depends on; nullopt: unknown
    std::vector<nix::StorePath> keep;         // must not be collected before the run ends
    std::optional<protocol::GitRevision> git; // nullopt: read it from the folder
};

// Finds the hive, and locks it if it is a flake's. Throws Error.
HiveSource open_hive(const std::optional<std::filesystem::path>& named, const NixOptions& nix,
                     const Interrupt& interrupt, const std::function<void(std::string_view)>& on_line);

// Returns the source for a hive.nix.
HiveSource file_source(const HivePlace& place, const std::filesystem::path& modules);

// Returns the source for a flake. `modules_hash` is the NAR hash of Waggle's own Nix files.
HiveSource flake_source(const HivePlace& place, const LockedFlake& flake, const std::filesystem::path& modules,
                        const std::string& modules_hash, bool impure);

} // namespace waggle::trigger
