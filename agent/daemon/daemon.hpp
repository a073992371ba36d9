#pragma once

#include <filesystem>

namespace waggle::agent {

// `waggle-agent daemon`: serves sessions until SIGTERM, or until a committed system has another agent unit and nothing
// runs any more. Returns the process's exit code. Throws Error for a configuration that cannot be used.
int run_daemon(const std::filesystem::path& config_file);

} // namespace waggle::agent
