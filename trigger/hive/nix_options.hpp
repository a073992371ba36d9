#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace waggle::trigger {

// What the command line passes on to Nix.
struct NixOptions {
    bool show_trace = false;                                  // of evaluations
    std::optional<std::string> builders;                      // --builders SPEC, before meta.machinesFile
    std::optional<std::string> build_store = {};              // --build-store, instead of this machine's
    bool impure = false;                                      // flakes may look at the machine
    std::vector<std::pair<std::string, std::string>> options; // --option NAME VALUE
};

// The options as words for any Nix program, and `machines_file` (meta.machinesFile) as the file with its remote
// builders.
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
