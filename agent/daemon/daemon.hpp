#pragma once

#include <filesystem>

namespace waggle::agent {

// `waggle-agent daemon`: serves sessions until SIGTERM, or until a committed system has a different agent unit and
// neither a session nor a deployment is left. Returns the process's exit code. Throws Error for an unusable
// configuration.
int run_daemon(const std::filesystem::path& config_file);

} // namespace waggle::agent
