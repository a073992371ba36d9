#pragma once

#include "shared/protocol/secret_file.hpp"

#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

// deployment.keys.<name> of a node, without the secret itself. Exactly one of the sources is set.
struct KeySource {
    protocol::SecretFile file;
    std::optional<std::string> key_file;  // on this machine
    std::vector<std::string> key_command; // argv
    bool has_text = false;                // the secret is written in the hive
    bool allow_empty = false;             // an empty file or output is intended
};

} // namespace waggle::trigger
