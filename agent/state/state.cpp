#include "agent/state/state.hpp"

#include "agent/state/life.hpp"
#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>

#include <cerrno>
#include <thread>
#include <utility>

namespace waggle::agent {

using protocol::Fields;
using protocol::Json;

namespace {

constexpr size_t max_state_bytes = 1 << 20;
constexpr size_t max_message_text_bytes = 64 << 10;
constexpr size_t max_failed_units = 4096;
// Limits for writing lists and texts that other programs have made. They are well below what can be read.
constexpr size_t max_kept_failed_units = 500;
constexpr size_t max_kept_text_bytes = 16 << 10;
constexpr size_t max_kept_keys = 1024;
constexpr std::chrono::seconds state_lock_timeout{10}; // a write takes milliseconds, or a second or two on a slow disk
constexpr std::chrono::milliseconds lock_retry{20};

Json or_null(const std::optional<nix::StorePath>& path) {
    return path ? Json(path->absolute()) : Json();
}

std::optional<nix::StorePath> path_or_null(Fields& fields, std::string_view key) {
    if (fields.is_null(key))
        return std::nullopt;
    return nix::StorePath::parse_absolute(fields.string(key));
}

Json to_json(const std::vector<ssh::PublicKey>& keys) {
    auto lines = Json::array();
    for (const auto& key : keys)
        lines.push_back(key.to_string());
    return lines;
}

Json to_json(const std::optional<OperatorList>& operators) {
    if (!operators)
        return nullptr;
    return {{"current", to_json(operators->current)}, {"removed", to_json(operators->removed)}};
}

Json to_json(const std::optional<BundleRef>& bundle) {
    if (!bundle)
        return {};
    return {{"id", bundle->id.to_string()}, {"sequence", bundle->sequence}, {"sha256", to_hex(bundle->sha256)},
            {"bytes", bundle->bytes},       {"hive", bundle->hive},         {"node", bundle->node}};
}

// Accepts a state that an agent without secrets has written.
std::optional<BundleRef> bundle_or_null(Fields& fields, std::string_view key, std::string_view name) {
    if (!fields.has(key) || fields.is_null(key))
        return std::nullopt;
    Fields inner(fields.object(key), fmt::format("{}: {}", name, key));
    BundleRef bundle;
    bundle.id = protocol::DeploymentId::parse(inner.string("id"));
    bundle.sequence = inner.integer("sequence");
    bundle.sha256 = inner.digest("sha256");
    bundle.bytes = static_cast<std::uint64_t>(inner.integer("bytes"));
    if (inner.has("hive"))
        bundle.hive = inner.string("hive");
    if (inner.has("node"))
        bundle.node = inner.string("node");
    inner.end();
    return bundle;
}

Json to_json(const LastAdmitted& last) {
    return {{"id", last.id.to_string()},
            {"sequence", last.sequence},
            {"created", to_rfc3339(last.created)},
            {"operator", last.operator_key}};
}

Json to_json(const DeploymentRecord& record, int version) {
    auto trail = Json::array();
    for (const auto& entry : record.state_log)
        trail.push_back({{"state", to_string(entry.state)}, {"at", to_rfc3339(entry.at)}});
    Json json = {{"id", record.id.to_string()},
                 {"goal", std::string(to_string(record.goal))},
                 {"toplevel", or_null(record.toplevel)},
                 {"rollback",
                  {{"enable", record.rollback.enable},
                   {"confirmTimeout", record.rollback.confirm_timeout.count()},
                   {"activationTimeout", record.rollback.activation_timeout.count()},
                   {"keepOnFailedUnits", record.rollback.keep_on_failed_units}}},
                 {"reboot", to_string(record.reboot)},
                 {"removeAgent", record.remove_agent},
                 {"state", std::string(to_string(record.state))},
                 {"since", to_rfc3339(record.since)},
                 {"trail", std::move(trail)},
                 {"operator", record.operator_key},
                 {"previousSystem", or_null(record.previous_system)},
                 {"previousProfile", or_null(record.previous_profile)},
                 {"previousProfileLink", record.previous_profile_link},
                 {"agent", record.agent},
                 {"bootId", record.boot_id},
                 {"failedUnits", record.failed_units},
                 {"problemCode", record.problem_code},
                 {"problem", record.problem},
                 {"outcome", record.outcome ? Json(std::string(to_string(*record.outcome))) : Json()},
                 {"code", record.code},
                 {"message", record.message},
                 {"generation", record.generation ? Json(*record.generation) : Json()},
                 {"fetchedPaths", record.fetched_paths},
                 {"fetchedBytes", record.fetched_bytes}};
    if (version >= 2) {
        json["target"] = or_null(record.target);
        json["nextOperators"] = to_json(record.next_operators);
        json["bundle"] = to_json(record.bundle);
        json["secretsOnly"] = record.secrets_only;
        json["config"] = record.config;
        if (record.install_boot_loader) // an agent of the previous version does not know it
            json["installBootLoader"] = true;
    }
    return json;
}

// Cuts between two UTF-8 characters.
void cut(std::string& text) {
    if (text.size() <= max_kept_text_bytes)
        return;
    size_t end = max_kept_text_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
        --end;
    const auto left_out = text.size() - end;
    text.resize(end);
    text += fmt::format("… ({} more bytes)", left_out);
}

void bound(DeploymentRecord& record) {
    cut(record.problem);
    cut(record.message);
    if (record.failed_units.size() > max_kept_failed_units)
        record.failed_units.resize(max_kept_failed_units);
}

std::vector<ssh::PublicKey> parse_keys(Fields& fields, std::string_view key) {
    std::vector<ssh::PublicKey> keys;
    for (const auto& item : fields.array(key, max_kept_keys)) {
        if (!item.is_string())
            fields.fail(key, "has an item that is not a string");
        keys.push_back(ssh::PublicKey::parse(item.get<std::string>()));
    }
    return keys;
}

// A state that an older agent without operator lists has written lacks the key.
std::optional<OperatorList> parse_operators(Fields& fields, std::string_view key, std::string_view name) {
    if (!fields.has(key) || fields.is_null(key))
        return std::nullopt;
    Fields inner(fields.object(key), fmt::format("{}: {}", name, key));
    OperatorList operators;
    operators.current = parse_keys(inner, "current");
    operators.removed = parse_keys(inner, "removed");
    inner.end();
    return operators;
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

protocol::Rollback parse_rollback(const Json& json, std::string_view name) {
    Fields fields(json, fmt::format("{}: rollback", name));
    protocol::Rollback rollback;
    rollback.enable = fields.boolean("enable");
    rollback.confirm_timeout = std::chrono::seconds(fields.integer("confirmTimeout"));
    rollback.activation_timeout = std::chrono::seconds(fields.integer("activationTimeout"));
    rollback.keep_on_failed_units = fields.boolean("keepOnFailedUnits");
    fields.end();
    return rollback;
}

DeploymentState parse_state_word(Fields& fields) {
    const auto state = protocol::parse_state(fields.string("state"));
    if (!state)
        fields.fail("state", "is not a state");
    return *state;
}

DeploymentRecord parse_record(const Json& json, int version, std::string_view name) {
    Fields fields(json, fmt::format("{}: deployment", name));
    DeploymentRecord record;
    record.id = protocol::DeploymentId::parse(fields.string("id"));
    const auto goal = protocol::parse_goal(fields.string("goal"));
    if (!goal)
        fields.fail("goal", "is not a goal");
    record.goal = *goal;
    record.toplevel = path_or_null(fields, "toplevel");
    record.rollback = parse_rollback(fields.object("rollback"), name);
    const auto reboot = protocol::parse_reboot(fields.string("reboot"));
    if (!reboot)
        fields.fail("reboot", "has an unknown value");
    record.reboot = *reboot;
    record.remove_agent = fields.boolean("removeAgent");
    if (fields.has("installBootLoader"))
        record.install_boot_loader = fields.boolean("installBootLoader");
    record.bundle = bundle_or_null(fields, "bundle", name);
    if (fields.has("secretsOnly"))
        record.secrets_only = fields.boolean("secretsOnly");
    record.state = parse_state_word(fields);
    record.since = parse_rfc3339(fields.string("since"));
    for (const auto& item : fields.array("trail", max_state_changes)) {
        Fields entry(item, fmt::format("{}: trail", name));
        const auto state = parse_state_word(entry);
        record.state_log.push_back({state, parse_rfc3339(entry.string("at"))});
        entry.end();
    }
    record.operator_key = fields.string("operator");
    record.next_operators = parse_operators(fields, "nextOperators", name);
    record.previous_system = path_or_null(fields, "previousSystem");
    record.previous_profile = path_or_null(fields, "previousProfile");
    record.previous_profile_link = fields.string("previousProfileLink");
    record.agent = fields.string("agent");
    if (fields.has("config"))
        record.config = fields.string("config");
    record.boot_id = fields.string("bootId");
    for (const auto& item : fields.array("failedUnits", max_failed_units)) {
        if (!item.is_string())
            fields.fail("failedUnits", "has an item that is not a string");
        record.failed_units.push_back(item.get<std::string>());
    }
    record.problem_code = fields.string("problemCode");
    record.problem = fields.string("problem", max_message_text_bytes);
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
    if (version >= 2)
        record.target = path_or_null(fields, "target");
    fields.end();
    return record;
}

template <class T>
const T& require(const std::optional<T>& field, const DeploymentRecord& record, std::string_view what) {
    if (!field)
        throw Error(fmt::format("the record of deployment {} in the state {} lacks {}: the state file is damaged",
                                record.id.brief(), to_string(record.state), what));
    return *field;
}

// `record` is a std::optional, const or not.
template <class OptionalRecord>
auto& require_record(OptionalRecord& record) {
    if (!record)
        throw Error("the record of the deployment is gone");
    return *record;
}

} // namespace

const nix::StorePath& DeploymentRecord::require_toplevel() const {
    return require(toplevel, *this, "a toplevel");
}

const nix::StorePath& DeploymentRecord::require_previous_system() const {
    return require(previous_system, *this, "a previous system");
}

protocol::Outcome DeploymentRecord::require_outcome() const {
    return require(outcome, *this, "an outcome");
}

const DeploymentRecord& State::require_deployment() const {
    return require_record(deployment);
}

DeploymentRecord& State::require_deployment() {
    return require_record(deployment);
}

std::string to_text(const State& state) {
    Json json = {{"v", state.version},
                 {"lastAdmitted", state.last_admitted ? to_json(*state.last_admitted) : Json()},
                 {"deployment", state.deployment ? to_json(*state.deployment, state.version) : Json()}};
    if (state.version >= 2) {
        json["operators"] = to_json(state.operators);
        json["secrets"] = to_json(state.secrets);
    }
    // A message may contain a log line of another program. Bytes that are not UTF-8 are replaced and never cause a
    // failure.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

State parse_state_text(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    Fields fields(json, name_for_errors);
    const auto version = fields.integer("v");
    if (version < oldest_state_version || version > newest_state_version)
        fields.fail("v", fmt::format("is {}, this agent reads versions {} to {}: {}", version, oldest_state_version,
                                     newest_state_version,
                                     version > newest_state_version ? "a newer agent has written it"
                                                                    : "that version was never in use"));
    State state;
    state.version = static_cast<int>(version);
    if (!fields.is_null("lastAdmitted"))
        state.last_admitted = parse_last_admitted(fields.object("lastAdmitted"), name_for_errors);
    if (!fields.is_null("deployment"))
        state.deployment = parse_record(fields.object("deployment"), state.version, name_for_errors);
    state.operators = parse_operators(fields, "operators", name_for_errors);
    state.secrets = bundle_or_null(fields, "secrets", name_for_errors);
    fields.end();
    return state;
}

Fd lock_file(const std::filesystem::path& file, Deadline deadline) {
    Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd)
        throw SystemError(fmt::format("opening {}", file.string()));
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            throw SystemError(fmt::format("locking {}", file.string()));
        if (std::chrono::steady_clock::now() >= deadline)
            throw TimedOut(fmt::format("{} is locked by another process", file.string()));
        std::this_thread::sleep_for(lock_retry);
    }
    return fd;
}

std::filesystem::path StateKeeper::file_in(const std::filesystem::path& state_dir) {
    return state_dir / "state.json";
}

StateKeeper::StateKeeper(std::filesystem::path state_dir) : folder_(std::move(state_dir)) {}

// Needs no lock, because the file is replaced as a whole.
StateKeeper::Content StateKeeper::read() const {
    Content content;
    const auto file = file_in(folder_);
    try {
        if (const auto text = read_file_if_exists(file, max_state_bytes)) {
            content.state = parse_state_text(*text, file.string());
            content.condition = Condition::known;
        }
    } catch (const std::exception& error) {
        content.state = {};
        content.condition = Condition::corrupt;
        content.problem =
            fmt::format("this node's record of its deployments, {}, cannot be used ({}), so nothing is admitted; "
                        "`waggle apply --reset-state` sets it aside, `waggle-agent status` on the node shows details",
                        file.string(), error.what());
    }
    return content;
}

StateKeeper::Condition StateKeeper::condition() const {
    return read().condition;
}

std::string StateKeeper::problem() const {
    return read().problem;
}

State StateKeeper::get() const {
    return read().state;
}

State StateKeeper::change(const std::function<void(State&)>& edit) {
    const std::lock_guard threads(mutex_);
    const auto processes = lock_file(folder_ / "state.lock", deadline_in(state_lock_timeout));
    auto content = read();
    if (content.condition == Condition::corrupt)
        throw Error(content.problem);
    const auto is_committed = [&] {
        return content.state.deployment && content.state.deployment->state == protocol::DeploymentState::committed;
    };
    const bool was_committed = is_committed();
    edit(content.state);
    if (content.state.deployment)
        bound(*content.state.deployment);
    remove_leftovers(folder_, "state.json.");
    if (!was_committed && is_committed())
        content.state.version = newest_state_version;
    const auto text = to_text(content.state);
    // A state that cannot be read back would leave the node unable to roll back.
    if (text.size() > max_state_bytes)
        throw Error(
            fmt::format("the record of the deployment would be {} bytes, more than {}", text.size(), max_state_bytes));
    parse_state_text(text, "the record to be written");
    write_file_atomically(file_in(folder_), text, 0600);
    return std::move(content.state);
}

void StateKeeper::reset() {
    const std::lock_guard threads(mutex_);
    const auto processes = lock_file(folder_ / "state.lock", deadline_in(state_lock_timeout));
    move_file(file_in(folder_), file_in(folder_).string() + ".corrupt");
}

ActivationLock::ActivationLock(const std::filesystem::path& state_dir, Deadline deadline)
    : fd_(lock_file(state_dir / "life.lock", deadline)) {}

} // namespace waggle::agent
