#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace waggle::trigger {

// The command line options that are passed on to Nix.
struct NixOptions {
    bool show_trace = false;                                  // of evaluations
    std::optional<std::string> builders;                      // --builders SPEC; overrides meta.machinesFile
    std::optional<std::string> build_store = {};              // --build-store, instead of this machine's
    bool impure = false;                                      // flakes may depend on this machine
    std::vector<std::pair<std::string, std::string>> options; // --option NAME VALUE
};

// Returns the options as arguments for any Nix program. `machines_file` (meta.machinesFile) is the file that lists the
// remote builders.
inline std::vector<std::string> arguments(const NixOptions& nix, const std::optional<std::string>& machines_file) {
    std::vector<std::string> words;
    if (nix.builders)
        words.insert(words.end(), {"--option", "builders", *nix.builders});
    else if (machines_file)
        words.insert(words.end(), {"--option", "builders", "@" + *machines_file});
    for (const auto& [name, value] : nix.options)
        words.insert(words.end(), {"--option", name, value});
    return words;
}

} // namespace waggle::trigger
