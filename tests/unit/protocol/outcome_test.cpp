#include "shared/protocol/outcome.hpp"

#include <gtest/gtest.h>

namespace waggle::protocol {
namespace {

struct Row {
    Outcome outcome;
    const char* word;
    int exit_code;
};
// From the best to the worst; docs/reference/exit-codes.md lists the exit codes.
const Row rows[] = {
    {Outcome::unchanged, "unchanged", 0},
    {Outcome::ok, "ok", 0},
    {Outcome::reboot_needed, "reboot-needed", 9},
    {Outcome::ok_units_failed, "ok-units-failed", 4},
    {Outcome::hive_error, "hive-error", 2},
    {Outcome::build_failed, "build-failed", 3},
    {Outcome::secret_not_read, "secret-not-read", 10},
    {Outcome::refused, "refused", 5},
    {Outcome::unreachable, "unreachable", 8},
    {Outcome::failed_before_activation, "failed-before-activation", 7},
    {Outcome::interrupted, "interrupted", 130},
    {Outcome::rolled_back, "rolled-back", 6},
    {Outcome::unknown, "unknown", 8},
};

TEST(Outcome, HasANameAndAnExitCode) {
    for (const auto& row : rows) {
        EXPECT_EQ(to_string(row.outcome), row.word);
        EXPECT_EQ(parse_outcome(row.word), row.outcome);
        EXPECT_EQ(exit_code(row.outcome), row.exit_code) << row.word;
    }
    for (auto word : {"", "OK", "ok ", "rolled_back", "okay"})
        EXPECT_EQ(parse_outcome(word), std::nullopt) << word;
}

TEST(Outcome, TheWorstOneDecides) {
    for (size_t i = 0; i < std::size(rows); ++i)
        for (size_t j = 0; j < std::size(rows); ++j)
            EXPECT_EQ(worse(rows[i].outcome, rows[j].outcome), rows[std::max(i, j)].outcome)
                << rows[i].word << " and " << rows[j].word;
}

} // namespace
} // namespace waggle::protocol
