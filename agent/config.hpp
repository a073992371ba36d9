#pragma once

#include "shared/ssh/key.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

inline constexpr size_t max_operators = 256; // each is tried for every signature

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
    std::optional<size_t> keep_generations;                // of the system profile; nullopt: all
    std::vector<std::filesystem::path> old_identity_files; // keys that secrets may still be sealed for
    std::vector<std::string> secret_mounts;                // mount points with secrets that come after the early unit
    Settings settings;
};

// Throws Error naming the file and the field.
Config load_config(const std::filesystem::path& file);
Config parse_config(std::string_view text, std::string_view name_for_errors);

// Only the operators, of a configuration that another version of the agent may be meant to read. Keys of kinds that we
// do not know are left out. Throws Error.
std::vector<ssh::PublicKey> parse_operators(std::string_view text, std::string_view name_for_errors);
// The configuration that the agent's unit in this file names; nullopt when it is not there, or names none.
std::optional<std::filesystem::path> config_of_unit(const std::filesystem::path& unit_file);
// The operators of the agent in a system, which may be a toplevel that does not run; nullopt: it has no agent.
// Throws Error.
std::optional<std::vector<ssh::PublicKey>> operators_in_system(const std::filesystem::path& toplevel);

} // namespace waggle::agent
