#pragma once

#include "shared/ssh/key.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The file that `waggle-agent daemon --config` reads; services.waggle-agent writes it. Every key is required
// but those of "settings" and the two of secrets; unknown keys are errors.
struct Config {
    struct Settings {
        std::string log_level = "info";
        size_t max_connections = 64;
        size_t max_connections_per_address = 8;
    };

    std::string hive;
    std::string node;
    std::string system;              // "x86_64-linux"
    std::vector<std::string> listen; // addresses or names of interfaces
    std::uint16_t port = 9244;
    std::vector<ssh::PublicKey> operators; // at least one
    std::filesystem::path identity_file;
    bool generate_identity = false;
    std::filesystem::path state_dir;
    std::vector<std::filesystem::path> old_identity_files; // keys that secrets may still be sealed for
    std::vector<std::string> secret_mounts;                // mount points with secrets that come after the early unit
    Settings settings;
};

// Throws Error naming the file and the field.
Config load_config(const std::filesystem::path& file);
Config parse_config(std::string_view text, std::string_view name_for_errors);

} // namespace waggle::agent
