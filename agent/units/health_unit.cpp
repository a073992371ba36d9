#include "agent/units/health_unit.hpp"

#include "agent/node/host.hpp"
#include "agent/units/health_check.hpp"
#include "agent/units/own_unit.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace waggle::agent {

namespace {

// A person waits while the trigger checks the running system. A check that takes longer is an error.
constexpr std::chrono::minutes health_unit_timeout{15};
constexpr size_t max_words_bytes = 1 << 20;
constexpr int unhealthy_exit_code = 6; // not 1, which is the code of any other failure

} // namespace

protocol::HealthReport check_health_in_unit() {
    const auto result = run_in_own_unit({.description = "Waggle checks the health of the running system",
                                         .purpose = UnitPurpose::check_health,
                                         .subcommand = {"check-health"},
                                         .timeout = health_unit_timeout,
                                         .max_output_bytes = max_words_bytes,
                                         .has_home = true});
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
        throw Error("/run/current-system is not a system in the store");
    const auto checks = load_health_checks(*current);
    if (checks.empty())
        say("there are no health checks (deployment.healthChecks)");
    const auto verdict = run_health_checks(checks, say);
    if (!verdict.healthy)
        say(verdict.problem);
    return verdict.healthy ? 0 : unhealthy_exit_code;
}

} // namespace waggle::agent
