#include "agent/units/own_unit.hpp"

#include "agent/node/host.hpp"
#include "shared/base/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::minutes systemd_time{1}; // to start the unit, and to report how it ended

} // namespace

RunResult run_in_own_unit(const OwnUnit& unit) {
    const char* path = std::getenv("PATH");
    std::vector<std::string> argv{"systemd-run",
                                  "--quiet",
                                  "--wait",
                                  "--pipe",
                                  "--collect",
                                  fmt::format("--description={}", unit.description),
                                  fmt::format("--setenv=PATH={}", path == nullptr ? "" : path),
                                  fmt::format("--property=RuntimeMaxSec={}", unit.timeout.count())};
    if (unit.has_home)
        argv.emplace_back("--setenv=HOME=/root");
    std::ranges::copy(sandbox_options(unit.purpose), std::back_inserter(argv));
    argv.insert(argv.end(), {"--", own_program()});
    std::ranges::copy(unit.subcommand, std::back_inserter(argv));
    RunOptions options;
    options.deadline = deadline_in(unit.timeout + systemd_time);
    options.max_stdout_bytes = unit.max_output_bytes;
    return run({.argv = std::move(argv), .extra_environment = {}}, options);
}

} // namespace waggle::agent
