#include "shared/protocol/history.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/message_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {

Json to_json(const HistoryEntry& entry) {
    return {
        {"id", entry.id.to_string()},
        {"goal", to_string(entry.goal)},
        {"toplevel", entry.toplevel},
        {"ended", to_rfc3339(entry.ended)},
        {"operator", entry.operator_key},
        {"git", entry.git ? Json{{"rev", entry.git->rev}, {"dirty", entry.git->dirty}} : Json()},
        {"outcome", to_string(entry.outcome)},
        {"code", entry.code},
        {"message", entry.message.substr(0, max_history_message_bytes)},
        {"generation", entry.generation ? Json(*entry.generation) : Json()},
    };
}

HistoryEntry history_entry_from_json(const Json& json) {
    Fields fields(json, "history entry");
    HistoryEntry entry;
    entry.id = DeploymentId{fields.digest("id")};
    const auto goal = fields.string("goal", max_word_bytes);
    const auto known_goal = parse_goal(goal);
    if (!known_goal)
        fields.fail("goal", fmt::format("has the unknown value {}", in_quotes(goal)));
    entry.goal = *known_goal;
    entry.toplevel = fields.string("toplevel", max_path_bytes);
    entry.ended = fields.time("ended");
    entry.operator_key = fields.string("operator", max_word_bytes);
    if (!fields.is_null("git")) {
        Fields git(fields.object("git"), "history entry, field \"git\"");
        entry.git = GitRevision{git.string("rev", max_word_bytes), git.boolean("dirty")};
        if (!from_hex(entry.git->rev))
            git.fail("rev", "is not a git revision");
        git.end();
    }
    const auto outcome = fields.string("outcome", max_word_bytes);
    const auto known_outcome = parse_outcome(outcome);
    if (!known_outcome)
        fields.fail("outcome", fmt::format("has the unknown value {}", in_quotes(outcome)));
    entry.outcome = *known_outcome;
    entry.code = fields.string("code", max_word_bytes);
    entry.message = fields.string("message", 3 * max_history_message_bytes); // U+FFFD for each byte that is not UTF-8
    if (!fields.is_null("generation"))
        entry.generation = static_cast<std::uint64_t>(fields.integer("generation", 1));
    fields.end();
    return entry;
}

} // namespace waggle::protocol
