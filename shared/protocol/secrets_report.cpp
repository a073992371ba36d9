#include "shared/protocol/secrets_report.hpp"

#include "shared/protocol/enum_field.hpp"
#include "shared/protocol/message_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>

namespace waggle::protocol {

namespace {

constexpr size_t max_note_bytes = 512; // of each of max_reported_secrets

constexpr EnumText<SecretStatus::State, SecretStatus::State::unreadable> secret_states({{
    {SecretStatus::State::in_place, "in-place"},
    {SecretStatus::State::missing, "missing"},
    {SecretStatus::State::differs, "differs"},
    {SecretStatus::State::waits, "waits"},
    {SecretStatus::State::unreadable, "unreadable"},
}});

Json time_or_null(const std::optional<Time>& time) {
    return time ? Json(to_rfc3339(*time)) : Json();
}

std::optional<Time> optional_time(Fields& fields, std::string_view key) {
    return fields.is_null(key) ? std::nullopt : std::optional(fields.time(key));
}

SecretStatus read_secret_status(const Json& json) {
    Fields fields(json, "secrets message, field \"secrets\"");
    SecretStatus secret;
    secret.name = text(fields, "name", max_word_bytes);
    secret.path = text(fields, "path", max_path_bytes);
    secret.state = read_enum(fields, "state", secret_states, max_code_bytes);
    secret.owner = text(fields, "owner", max_word_bytes);
    secret.mode = text(fields, "mode", max_code_bytes);
    secret.written = optional_time(fields, "written");
    secret.changed = optional_time(fields, "changed");
    secret.note = text(fields, "note", max_note_bytes);
    fields.end();
    return secret;
}

} // namespace

Json to_json(const SecretStatus& secret) {
    return {
        {"name", cut(secret.name, max_word_bytes)}, {"path", cut(secret.path, max_path_bytes)},
        {"state", to_string(secret.state)},         {"owner", cut(secret.owner, max_word_bytes)},
        {"mode", cut(secret.mode, max_code_bytes)}, {"written", time_or_null(secret.written)},
        {"changed", time_or_null(secret.changed)},  {"note", cut(secret.note, max_note_bytes)},
    };
}

std::string_view to_string(SecretStatus::State state) {
    return secret_states.to_string(state);
}

Json to_json(const GetSecrets&) {
    return {{"type", "getSecrets"}};
}

GetSecrets GetSecrets::from(Fields&) {
    return {};
}

Json to_json(const SecretsReport& report) {
    Json secrets = Json::array();
    for (const auto& secret : report.secrets)
        secrets.push_back(to_json(secret));
    return {{"type", "secrets"}, {"sequence", report.sequence}, {"problem", cut(report.problem)}, {"secrets", secrets}};
}

SecretsReport SecretsReport::from(Fields& fields) {
    SecretsReport report;
    report.sequence = fields.integer("sequence");
    report.problem = text(fields, "problem");
    for (const auto& item : fields.array("secrets", max_reported_secrets))
        report.secrets.push_back(read_secret_status(item));
    return report;
}

} // namespace waggle::protocol
