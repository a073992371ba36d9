#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/outcome.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::agent {

// What the activation's unit tells the agent, through files in the state directory.
struct ActivationReport {
    protocol::DeploymentId id;
    std::string step;                         // what it is doing, or did last: "test", "profile", "boot", "roll back"
    std::optional<protocol::Outcome> outcome; // set when it has come to its end
    std::string code;
    std::string message;
    std::optional<std::uint64_t> generation;
};

std::string to_text(const ActivationReport& report);
ActivationReport parse_report(std::string_view text, std::string_view name_for_errors);

// The report as the activation itself writes it, step by step, and the final one, which exists only when the unit has
// ended.
std::filesystem::path steps_file(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);
std::filesystem::path result_file(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);

// How the unit ended, as systemd tells its ExecStopPost= (systemd.exec(5), $SERVICE_RESULT).
struct UnitEnd {
    std::string service_result;
    std::string exit_code;
    std::string exit_status;
};

// The final report: what the activation said last, and, where it could not finish, what ended it.
ActivationReport conclude(const protocol::DeploymentId& id, const std::optional<ActivationReport>& last,
                          const UnitEnd& end);

// The hidden subcommand `activation-result`: writes the result file from the steps file and the environment.
void write_activation_result(const std::filesystem::path& state_dir, const protocol::DeploymentId& id);

} // namespace waggle::agent
