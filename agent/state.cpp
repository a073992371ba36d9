#include "agent/state.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>

namespace waggle::agent {

using protocol::Fields;
using protocol::Json;

namespace {

constexpr int state_version = 1;
constexpr size_t max_state_bytes = 1 << 20;
constexpr size_t max_message_text_bytes = 64 << 10;

Json or_null(const std::optional<nix::StorePath>& path) {
    return path ? Json(path->absolute()) : Json();
}

std::optional<nix::StorePath> path_or_null(Fields& fields, std::string_view key) {
    if (fields.is_null(key))
        return std::nullopt;
    return nix::StorePath::parse_absolute(fields.string(key));
}

Json to_json(const LastAdmitted& last) {
    return {{"id", last.id.to_string()},
            {"sequence", last.sequence},
            {"created", to_rfc3339(last.created)},
            {"operator", last.operator_key}};
}

Json to_json(const DeploymentRecord& record) {
    return {{"id", record.id.to_string()},
            {"goal", std::string(to_string(record.goal))},
            {"toplevel", or_null(record.toplevel)},
            {"state", std::string(to_string(record.state))},
            {"since", to_rfc3339(record.since)},
            {"operator", record.operator_key},
            {"previousSystem", or_null(record.previous_system)},
            {"previousProfile", or_null(record.previous_profile)},
            {"outcome", record.outcome ? Json(std::string(to_string(*record.outcome))) : Json()},
            {"code", record.code},
            {"message", record.message},
            {"generation", record.generation ? Json(*record.generation) : Json()},
            {"fetchedPaths", record.fetched_paths},
            {"fetchedBytes", record.fetched_bytes}};
}

LastAdmitted parse_last_admitted(const Json& json, std::string_view name) {
    Fields fields(json, fmt::format("{}: lastAdmitted", name));
    LastAdmitted last;
    last.id = protocol::DeploymentId::parse(fields.string("id"));
    last.sequence = fields.integer("sequence");
    last.created = parse_rfc3339(fields.string("created"));
    last.operator_key = fields.string("operator");
    fields.end();
    return last;
}

DeploymentRecord parse_record(const Json& json, std::string_view name) {
    Fields fields(json, fmt::format("{}: deployment", name));
    DeploymentRecord record;
    record.id = protocol::DeploymentId::parse(fields.string("id"));
    const auto goal = protocol::parse_goal(fields.string("goal"));
    if (!goal)
        fields.fail("goal", "is not a goal");
    record.goal = *goal;
    record.toplevel = path_or_null(fields, "toplevel");
    const auto state = protocol::parse_state(fields.string("state"));
    if (!state)
        fields.fail("state", "is not a state");
    record.state = *state;
    record.since = parse_rfc3339(fields.string("since"));
    record.operator_key = fields.string("operator");
    record.previous_system = path_or_null(fields, "previousSystem");
    record.previous_profile = path_or_null(fields, "previousProfile");
    if (!fields.is_null("outcome")) {
        record.outcome = protocol::parse_outcome(fields.string("outcome"));
        if (!record.outcome)
            fields.fail("outcome", "is not an outcome");
    }
    record.code = fields.string("code");
    record.message = fields.string("message", max_message_text_bytes);
    if (!fields.is_null("generation"))
        record.generation = static_cast<std::uint64_t>(fields.integer("generation"));
    record.fetched_paths = static_cast<std::uint64_t>(fields.integer("fetchedPaths"));
    record.fetched_bytes = static_cast<std::uint64_t>(fields.integer("fetchedBytes"));
    fields.end();
    return record;
}

} // namespace

std::string to_text(const State& state) {
    const Json json = {{"v", state_version},
                       {"lastAdmitted", state.last_admitted ? to_json(*state.last_admitted) : Json()},
                       {"deployment", state.deployment ? to_json(*state.deployment) : Json()}};
    // A log line of someone else's program may be in a message: what is not UTF-8 is replaced, never a reason to fail.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

State parse_state_text(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    Fields fields(json, name_for_errors);
    if (const auto version = fields.integer("v"); version != state_version)
        fields.fail("v", fmt::format("is {}, this agent reads version {}", version, state_version));
    State state;
    if (!fields.is_null("lastAdmitted"))
        state.last_admitted = parse_last_admitted(fields.object("lastAdmitted"), name_for_errors);
    if (!fields.is_null("deployment"))
        state.deployment = parse_record(fields.object("deployment"), name_for_errors);
    fields.end();
    return state;
}

std::filesystem::path StateKeeper::file_in(const std::filesystem::path& state_dir) {
    return state_dir / "state.json";
}

StateKeeper::StateKeeper(std::filesystem::path state_dir) : file_(file_in(state_dir)) {
    try {
        const auto text = read_file_if_exists(file_, max_state_bytes);
        if (!text)
            return;
        state_ = parse_state_text(*text, file_.string());
        condition_ = Condition::known;
    } catch (const std::exception& error) {
        state_ = {};
        condition_ = Condition::corrupt;
        problem_ =
            fmt::format("this node's record of its deployments, {}, cannot be used ({}), so nothing is admitted; see "
                        "`waggle-agent status` on the node",
                        file_.string(), error.what());
    }
}

StateKeeper::Condition StateKeeper::condition() const {
    const std::lock_guard lock(mutex_);
    return condition_;
}

State StateKeeper::get() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

void StateKeeper::change(const std::function<void(State&)>& edit) {
    const std::lock_guard lock(mutex_);
    if (condition_ == Condition::corrupt)
        throw Error(problem_);
    State next = state_;
    edit(next);
    write_file_atomically(file_, to_text(next), 0600);
    state_ = std::move(next);
    condition_ = Condition::known;
}

} // namespace waggle::agent
