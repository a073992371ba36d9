#include "shared/protocol/outcome.hpp"

#include "shared/base/enum_text.hpp"

#include <algorithm>
#include <array>

namespace waggle::protocol {

namespace {

struct Row {
    Outcome outcome;
    std::string_view word;
    int exit_code;
};

// From the best to the worst: nodes in the desired state, nodes that were left unchanged, nodes that were changed. The
// worst outcome of all nodes decides a run's exit code.
constexpr std::array rows = {
    Row{Outcome::unchanged, "unchanged", 0},
    Row{Outcome::ok, "ok", 0},
    Row{Outcome::reboot_needed, "reboot-needed", 9},
    Row{Outcome::ok_units_failed, "ok-units-failed", 4},
    Row{Outcome::hive_error, "hive-error", 2},
    Row{Outcome::build_failed, "build-failed", 3},
    Row{Outcome::secret_not_read, "secret-not-read", 10},
    Row{Outcome::refused, "refused", 5},
    Row{Outcome::unreachable, "unreachable", 8},
    Row{Outcome::failed_before_activation, "failed-before-activation", 7},
    Row{Outcome::interrupted, "interrupted", 130}, // as a shell reports SIGINT; scripts check for it
    Row{Outcome::rolled_back, "rolled-back", 6},
    Row{Outcome::unknown, "unknown", 8},
};

static_assert(has_each_once(rows, &Row::outcome, Outcome::interrupted));

const Row& row(Outcome outcome) {
    return row_of(rows, &Row::outcome, outcome);
}

} // namespace

std::string_view to_string(Outcome outcome) {
    return row(outcome).word;
}

std::optional<Outcome> parse_outcome(std::string_view text) {
    auto found = std::ranges::find(rows, text, &Row::word);
    return found == rows.end() ? std::nullopt : std::optional(found->outcome);
}

int exit_code(Outcome outcome) {
    return row(outcome).exit_code;
}

Outcome worse(Outcome a, Outcome b) {
    return &row(a) < &row(b) ? b : a;
}

} // namespace waggle::protocol
