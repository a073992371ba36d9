#include "agent/secrets/secrets_unit.hpp"

#include "shared/base/error.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <variant>

namespace waggle::agent {

namespace {

constexpr std::chrono::minutes unit_timeout{6}; // another process may hold the lock of the secrets for five

} // namespace

protocol::SecretsReport report_secrets_in_unit() {
    const char* path = std::getenv("PATH");
    RunOptions options;
    options.deadline = deadline_in(unit_timeout + std::chrono::minutes(1));
    options.max_stdout_bytes = protocol::max_message_bytes;
    const auto result =
        run({.argv = {"systemd-run", "--quiet", "--wait", "--pipe", "--collect",
                      "--description=Waggle looks at the secrets of this node",
                      fmt::format("--setenv=PATH={}", path == nullptr ? "" : path), "--property=LimitCORE=0",
                      fmt::format("--property=RuntimeMaxSec={}", std::chrono::seconds(unit_timeout).count()), "--",
                      std::filesystem::read_symlink("/proc/self/exe").string(), "secrets", "--message"},
             .extra_environment = {}},
            options);
    if (!result.status.success())
        throw Error(fmt::format("the secrets were not looked at: {} {}", result.status.to_string(), result.err_tail));
    const auto incoming = protocol::decode(result.out);
    const auto* message = std::get_if<protocol::Message>(&incoming);
    const auto* report = message == nullptr ? nullptr : std::get_if<protocol::SecretsReport>(message);
    if (report == nullptr)
        throw Error("the secrets were looked at, and something else than a report came of it");
    return *report;
}

} // namespace waggle::agent
