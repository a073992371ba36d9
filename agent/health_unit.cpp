#include "agent/health_unit.hpp"

#include "agent/health_check.hpp"
#include "agent/host.hpp"
#include "shared/base/error.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace waggle::agent {

namespace {

// The trigger asks for the running system while people wait: what takes longer is no check any more.
constexpr std::chrono::minutes unit_timeout{15};
constexpr size_t max_words_bytes = 1 << 20;
constexpr int unhealthy_exit_code = 6; // not 1, which is the code of any other failure

} // namespace

protocol::HealthReport check_health_in_unit() {
    const char* path = std::getenv("PATH");
    RunOptions options;
    options.deadline = deadline_in(unit_timeout + std::chrono::minutes(1));
    options.max_stdout_bytes = max_words_bytes;
    const auto result =
        run({.argv = {"systemd-run", "--quiet", "--wait", "--pipe", "--collect",
                      "--description=Waggle checks the health of the running system",
                      fmt::format("--setenv=PATH={}", path == nullptr ? "" : path), "--setenv=HOME=/root",
                      fmt::format("--property=RuntimeMaxSec={}", std::chrono::seconds(unit_timeout).count()), "--",
                      std::filesystem::read_symlink("/proc/self/exe").string(), "check-health"},
             .extra_environment = {}},
            options);
    if (!result.status.success() && result.status.code != unhealthy_exit_code)
        throw Error(
            fmt::format("the health checks were not carried out: {} {}", result.status.to_string(), result.err_tail));
    return {.healthy = result.status.success(), .text = result.out};
}

int check_health() {
    const auto say = [](std::string_view line) {
        std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
        std::fflush(stdout);
    };
    const auto current = LocalHost().current_system();
    if (!current)
        throw Error("/run/current-system is no system of the store");
    const auto checks = load_health_checks(*current);
    if (checks.empty())
        say("there are no health checks (deployment.healthChecks)");
    const auto verdict = run_health_checks(checks, say);
    if (!verdict.healthy)
        say(verdict.problem);
    return verdict.healthy ? 0 : unhealthy_exit_code;
}

} // namespace waggle::agent
