#pragma once

#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace waggle::ssh {

// A real ssh-agent of the test's own, on FOLDER/agent, that ends with it.
class RunningAgent {
public:
    explicit RunningAgent(const TemporaryFolder& folder);

    std::filesystem::path socket() const { return socket_; }
    // Runs ssh-add with these arguments. No user can confirm anything.
    void add(std::vector<std::string> arguments);

private:
    std::filesystem::path socket_;
    Child process_;
};

} // namespace waggle::ssh
