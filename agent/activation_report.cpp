#include "agent/activation_report.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace waggle::agent {

using protocol::Fields;
using protocol::Json;
using protocol::Outcome;

namespace {

constexpr size_t max_report_bytes = 256 << 10;
constexpr size_t max_message_text_bytes = 64 << 10;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string say(const UnitEnd& end) {
    if (end.service_result == "timeout")
        return "it took too long and was stopped";
    if (end.exit_code == "killed" || end.exit_code == "dumped")
        return fmt::format("it was killed by signal {}", end.exit_status);
    return fmt::format("it ended with {} {}", end.exit_code.empty() ? "result" : end.exit_code,
                       end.exit_code.empty() ? end.service_result : end.exit_status);
}

} // namespace

std::string to_text(const ActivationReport& report) {
    const Json json = {{"v", 1},
                       {"id", report.id.to_string()},
                       {"step", report.step},
                       {"outcome", report.outcome ? Json(std::string(to_string(*report.outcome))) : Json()},
                       {"code", report.code},
                       {"message", report.message},
                       {"generation", report.generation ? Json(*report.generation) : Json()}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ActivationReport parse_report(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    Fields fields(json, name_for_errors);
    if (fields.integer("v") != 1)
        fields.fail("v", "is not 1");
    ActivationReport report;
    report.id = protocol::DeploymentId::parse(fields.string("id"));
    report.step = fields.string("step");
    if (!fields.is_null("outcome")) {
        report.outcome = protocol::parse_outcome(fields.string("outcome"));
        if (!report.outcome)
            fields.fail("outcome", "is not an outcome");
    }
    report.code = fields.string("code");
    report.message = fields.string("message", max_message_text_bytes);
    if (!fields.is_null("generation"))
        report.generation = static_cast<std::uint64_t>(fields.integer("generation"));
    fields.end();
    return report;
}

std::filesystem::path steps_file(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    return state_dir / "activation" / (id.brief() + ".steps.json");
}

std::filesystem::path result_file(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    return state_dir / "activation" / (id.brief() + ".result.json");
}

ActivationReport conclude(const protocol::DeploymentId& id, const std::optional<ActivationReport>& last,
                          const UnitEnd& end) {
    if (last && last->id == id && last->outcome)
        return *last;
    ActivationReport report;
    report.id = id;
    if (!last || last->id != id) {
        report.outcome = Outcome::failed_before_activation;
        report.code = "activation-not-started";
        report.message = fmt::format("the activation did not get as far as its first step: {}", say(end));
        return report;
    }
    report = *last;
    report.outcome = Outcome::unknown;
    report.code = "activation-cut-off";
    report.message = fmt::format("the activation was cut off in the step \"{}\": {}", last->step, say(end));
    return report;
}

void write_activation_result(const std::filesystem::path& state_dir, const protocol::DeploymentId& id) {
    const auto steps = steps_file(state_dir, id);
    std::optional<ActivationReport> last;
    try {
        if (const auto text = read_file_if_exists(steps, max_report_bytes))
            last = parse_report(*text, steps.string());
    } catch (const std::exception& error) {
        spdlog::error("{}", error.what());
    }
    const UnitEnd end{environment("SERVICE_RESULT"), environment("EXIT_CODE"), environment("EXIT_STATUS")};
    write_file_atomically(result_file(state_dir, id), to_text(conclude(id, last, end)), 0600);
}

} // namespace waggle::agent
