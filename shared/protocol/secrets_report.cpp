#include "shared/protocol/secrets_report.hpp"

#include "shared/protocol/message_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace waggle::protocol {

namespace {

constexpr size_t max_note_bytes = 512; // of max_reported_secrets

struct SecretStateWord {
    SecretStatus::State state;
    std::string_view text;
};
constexpr std::array secret_states = {
    SecretStateWord{SecretStatus::State::in_place, "in-place"},
    SecretStateWord{SecretStatus::State::missing, "missing"},
    SecretStateWord{SecretStatus::State::differs, "differs"},
    SecretStateWord{SecretStatus::State::waits, "waits"},
    SecretStateWord{SecretStatus::State::unreadable, "unreadable"},
};

Json time_or_null(const std::optional<Time>& time) {
    return time ? Json(to_rfc3339(*time)) : Json();
}

std::optional<Time> optional_time(Fields& fields, std::string_view key) {
    return fields.is_null(key) ? std::nullopt : std::optional(fields.time(key));
}

Json to_json(const SecretStatus& secret) {
    return {
        {"name", cut(secret.name, max_word_bytes)}, {"path", cut(secret.path, max_path_bytes)},
        {"state", to_string(secret.state)},         {"owner", cut(secret.owner, max_word_bytes)},
        {"mode", cut(secret.mode, max_code_bytes)}, {"written", time_or_null(secret.written)},
        {"changed", time_or_null(secret.changed)},  {"note", cut(secret.note, max_note_bytes)},
    };
}

SecretStatus read_secret_status(const Json& json) {
    Fields fields(json, "secrets message, field \"secrets\"");
    SecretStatus secret;
    secret.name = text(fields, "name", max_word_bytes);
    secret.path = text(fields, "path", max_path_bytes);
    auto word = fields.string("state", max_code_bytes);
    auto state = std::ranges::find(secret_states, word, &SecretStateWord::text);
    if (state == secret_states.end())
        fields.fail("state", fmt::format("has the unknown value {}", in_quotes(word)));
    secret.state = state->state;
    secret.owner = text(fields, "owner", max_word_bytes);
    secret.mode = text(fields, "mode", max_code_bytes);
    secret.written = optional_time(fields, "written");
    secret.changed = optional_time(fields, "changed");
    secret.note = text(fields, "note", max_note_bytes);
    fields.end();
    return secret;
}

} // namespace

std::string_view to_string(SecretStatus::State state) {
    return std::ranges::find(secret_states, state, &SecretStateWord::state)->text;
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
