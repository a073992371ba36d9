#pragma once

#include "shared/protocol/json.hpp"
#include "trigger/command/options.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace waggle::trigger {

// Shows the events of a run as the command line requests it: as JSON, line by line, or on the terminal's board.
std::unique_ptr<Reporter> make_reporter(const GlobalOptions& global);

// What a command found out about each node, to be added to the node's object in the result.
using NodeDetails = std::map<std::string, protocol::Json>;

// The result of --json: an object for each report and each node with details, in the order of their names. `others`
// are further members of the result.
protocol::Json json_result(std::string_view command, std::span<const NodeReport> reports,
                           const NodeDetails& details = {}, const protocol::Json& others = protocol::Json::object());

// Prints the result and returns the exit code for the worst report.
int print_json_result(std::string_view command, std::span<const NodeReport> reports, const NodeDetails& details = {},
                      const protocol::Json& others = protocol::Json::object());

// Prints the table of a run, the nodes' answers and the failures. Returns the exit code for the worst report.
int print_summary(const GlobalOptions& global, std::span<const NodeReport> reports);
// Prints only the failures among the reports. Returns the exit code for the worst report.
int conclude(const GlobalOptions& global, std::span<const NodeReport> reports);
// The same on standard error, for commands whose standard output is for scripts.
int conclude_on_stderr(const GlobalOptions& global, std::span<const NodeReport> reports);

// The result of a run that has ended with an error which concerns no single node.
protocol::Json json_error(std::string_view message, int exit_code);

} // namespace waggle::trigger
