#include "agent/units/sandbox.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <regex>

namespace waggle::agent {
namespace {

struct Limit {
    const char* name;
    UnitPurpose purpose;
    double exposure; // 0 to 10, as systemd-analyze measures it
};

constexpr std::array limits{
    Limit{"change_system", UnitPurpose::change_system, 9.6}, // agent/units/sandbox.hpp says why
    Limit{"check_health", UnitPurpose::check_health, 9.6},
    Limit{"report_secrets", UnitPurpose::report_secrets, 2.0},
    Limit{"ask_systemd", UnitPurpose::ask_systemd, 1.7},
};

double exposure(const std::vector<std::string>& options) {
    const TemporaryFolder folder;
    const auto unit = folder.path() / "transient.service";
    std::string text = "[Service]\nExecStart=/bin/true\n";
    for (const auto& option : options) {
        EXPECT_TRUE(option.starts_with("--property=")) << option;
        text += option.substr(std::string_view("--property=").size()) + "\n";
    }
    write_file_atomically(unit, text, 0600);
    RunOptions run_options;
    run_options.deadline = deadline_in(std::chrono::seconds(60));
    const auto result = run({.argv = {"systemd-analyze", "security", "--offline=true", "--no-pager", unit.string()},
                             .extra_environment = {}},
                            run_options);
    std::smatch match;
    if (!std::regex_search(result.out, match, std::regex("Overall exposure level for [^:]*: ([0-9.]+)")))
        throw Error("systemd-analyze printed no exposure: " + result.out + result.err_tail);
    EXPECT_THAT(result.err_tail, testing::Not(testing::HasSubstr("nknown"))) << "a setting that systemd does not know";
    return std::stod(match[1]);
}

TEST(Sandbox, LimitsTheExposureOfEachUnit) {
    try {
        RunOptions options;
        options.deadline = deadline_in(std::chrono::seconds(60));
        run({.argv = {"systemd-analyze", "--version"}, .extra_environment = {}}, options);
    } catch (const Error&) {
        GTEST_SKIP() << "systemd-analyze is not installed";
    }
    for (const auto& limit : limits) {
        const auto measured = exposure(sandbox_options(limit.purpose));
        std::cout << "      " << limit.name << ": " << measured << " (at most " << limit.exposure << ")\n";
        EXPECT_LE(measured, limit.exposure) << limit.name;
    }
}

} // namespace
} // namespace waggle::agent
