#pragma once

#include "shared/ssh/key.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

inline constexpr size_t max_operators = 256; // every signature is tried against each of them

// The file that `waggle-agent daemon --config` reads; services.waggle-agent writes it. Every key is required except
// "keep", those of "settings" and the two for secrets. Unknown keys are errors.
struct Config {
    struct Settings {
        std::string log_level = "info";
        size_t max_connections = 32;
        size_t max_connections_per_address = 8;
        std::chrono::seconds store_timeout{600}; // in which the nix daemon must make progress
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

// What the current agent must know about the next system's agent before the activation.
struct NextAgent {
    std::vector<ssh::PublicKey> operators;
    std::optional<std::filesystem::path> state_dir; // nullopt: not configured
};
// Reads a configuration that may be for another version of the agent. Skips keys of unknown types. Throws Error.
NextAgent parse_next_agent(std::string_view text, std::string_view name_for_errors);
// The configuration file that the agent's unit file names. Returns nullopt if there is no such file or name.
std::optional<std::filesystem::path> config_of_unit(const std::filesystem::path& unit_file);
// The same for the unit of the running system.
std::optional<std::filesystem::path> config_of_unit();
// The help of --config where it is optional.
inline constexpr const char* config_help = "The agent's configuration (default: the one that its unit names)";
// The agent of a system, which need not be running. Returns nullopt if it has none. Throws Error.
std::optional<NextAgent> agent_in_system(const std::filesystem::path& toplevel);

// Returns the given state directory, or the one in the configuration of the agent's unit.
std::filesystem::path find_state_dir(const std::optional<std::filesystem::path>& given);

} // namespace waggle::agent
