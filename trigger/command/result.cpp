#include "trigger/command/result.hpp"

#include "trigger/report/json_reporter.hpp"
#include "trigger/report/summary.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace waggle::trigger {

using protocol::Json;

namespace {

double seconds(std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
}

Json to_json(const NodeReport& report) {
    return {
        {"name", report.node},
        {"outcome", protocol::to_string(report.outcome)},
        {"code", report.code},
        {"message", report.message},
        {"answer", report.answer},
        {"log", report.log.before_rollback().empty() ? report.log.lines() : report.log.before_rollback()},
        {"rollbackLog", report.log.before_rollback().empty() ? std::deque<std::string>() : report.log.lines()},
        {"generation", report.generation ? Json(*report.generation) : Json()},
        {"bytesSent", report.bytes_sent},
        {"narBytesSent", report.nar_bytes_sent},
        {"seconds",
         {{"total", seconds(report.elapsed)},
          {"connect", seconds(report.connect_time)},
          {"fetch", seconds(report.fetch_time)},
          {"activate", seconds(report.activate_time)}}},
    };
}

bool color_on_stdout(const GlobalOptions& global) {
    return use_color(global.color, ::isatty(STDOUT_FILENO) == 1);
}

} // namespace

std::unique_ptr<Reporter> make_reporter(const GlobalOptions& global) {
    if (global.json)
        return make_json_reporter();
    return make_reporter(global.verbose, use_color(global.color, stderr_is_terminal()));
}

Json json_result(std::string_view command, std::span<const NodeReport> reports, const NodeDetails& details,
                 const Json& others) {
    std::map<std::string, Json> nodes;
    for (const NodeReport& report : reports)
        nodes[report.node] = to_json(report);
    for (const auto& [name, members] : details) {
        Json& node = nodes.try_emplace(name, Json{{"name", name}, {"outcome", "ok"}}).first->second;
        node.update(members);
    }
    Json list = Json::array();
    for (auto& [name, node] : nodes)
        list.push_back(std::move(node));
    const protocol::Outcome worst = reports.empty() ? protocol::Outcome::ok : worst_outcome(reports);
    Json result = {{"type", "result"},
                   {"command", command},
                   {"outcome", protocol::to_string(worst)},
                   {"exitCode", protocol::exit_code(worst)},
                   {"nodes", std::move(list)}};
    result.update(others);
    return result;
}

int print_json_result(std::string_view command, std::span<const NodeReport> reports, const NodeDetails& details,
                      const Json& others) {
    const Json result = json_result(command, reports, details, others);
    print_json_line(result);
    return result["exitCode"].get<int>();
}

int print_summary(const GlobalOptions& global, std::span<const NodeReport> reports) {
    fmt::print("{}", format_summary(reports, color_on_stdout(global)));
    std::fflush(stdout);
    return protocol::exit_code(worst_outcome(reports));
}

int conclude(const GlobalOptions& global, std::span<const NodeReport> reports) {
    fmt::print("{}", format_failures(reports, color_on_stdout(global)));
    std::fflush(stdout);
    return protocol::exit_code(worst_outcome(reports));
}

int conclude_on_stderr(const GlobalOptions& global, std::span<const NodeReport> reports) {
    std::fflush(stdout);
    fmt::print(stderr, "{}", format_failures(reports, use_color(global.color, stderr_is_terminal())));
    return protocol::exit_code(worst_outcome(reports));
}

Json json_error(std::string_view message, int exit_code) {
    return {{"type", "result"}, {"error", message}, {"exitCode", exit_code}};
}

} // namespace waggle::trigger
