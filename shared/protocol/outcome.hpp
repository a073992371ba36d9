#pragma once

#include <optional>
#include <string_view>

namespace waggle::protocol {

// How a deployment ended for one node, in events, tables, JSON and the exit code. docs/reference/exit-codes.md lists
// the exit codes.
enum class Outcome {
    ok,
    unchanged,
    ok_units_failed, // with onFailedUnits = "keep"
    refused,         // admission, pre-switch check, busy, superseded
    rolled_back,
    failed_before_activation, // nothing changed except verified paths in the store
    unreachable,
    unknown,         // the connection was lost after the activation began
    hive_error,      // the node could not be evaluated
    build_failed,    // its system could not be built
    secret_not_read, // on the operator's machine
    reboot_needed,
    interrupted, // stopped by the operator before activation
};

std::string_view to_string(Outcome outcome); // "ok", "ok-units-failed", …
std::optional<Outcome> parse_outcome(std::string_view text);
int exit_code(Outcome outcome);
// The outcome that decides a run's exit code.
Outcome worse(Outcome a, Outcome b);

} // namespace waggle::protocol
