#include "shared/protocol/messages.hpp"

#include "shared/protocol/enum_field.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/message_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::protocol {

namespace {

constexpr char json_message = 'J';
constexpr char closure_list_message = 'L';
constexpr char secret_bundle_message = 'S';
constexpr char nar_message = 'N';
constexpr char compressed_nar_message = 'Z';
constexpr size_t index_bytes = 4;

constexpr EnumText<DeploymentState, DeploymentState::failed> states({{
    {DeploymentState::received, "received"},
    {DeploymentState::fetching, "fetching"},
    {DeploymentState::staged, "staged"},
    {DeploymentState::activating, "activating"},
    {DeploymentState::awaiting_reboot, "awaiting-reboot"},
    {DeploymentState::activated, "activated"},
    {DeploymentState::committing, "committing"},
    {DeploymentState::committed, "committed"},
    {DeploymentState::rolling_back, "rolling-back"},
    {DeploymentState::rolled_back, "rolled-back"},
    {DeploymentState::failed, "failed"},
}});

constexpr EnumText<Event::Kind, Event::Kind::note> kinds({{
    {Event::Kind::state, "state"},
    {Event::Kind::progress, "progress"},
    {Event::Kind::log, "log"},
    {Event::Kind::note, "note"},
}});

Json or_null(const std::optional<std::string>& value) {
    return value ? Json(cut(*value, max_path_bytes)) : Json();
}

std::optional<std::string> optional_path(Fields& fields, std::string_view key) {
    return fields.is_null(key) ? std::nullopt : std::optional(text(fields, key, max_path_bytes));
}

DeploymentId id(Fields& fields, std::string_view key = "id") {
    return DeploymentId{fields.digest(key)};
}

DeploymentState state(Fields& fields) {
    return read_enum(fields, "state", states, max_code_bytes);
}

Json to_json(const Facts& facts) {
    Json json = {
        {"type", "facts"},
        {"version", facts.version},
        {"agentVersion", cut(facts.agent_version, max_word_bytes)},
        {"system", cut(facts.system, max_word_bytes)},
        {"nixVersion", cut(facts.nix_version, max_word_bytes)},
        {"currentSystem", or_null(facts.current_system)},
        {"bootedSystem", or_null(facts.booted_system)},
        {"profile", or_null(facts.profile)},
        {"lastSequence", facts.last_sequence},
        {"lastAdmitted", nullptr},
        {"running", nullptr},
        {"awaitsConfirmation", nullptr},
        {"bootId", cut(facts.boot_id, max_word_bytes)},
        {"holdsSecrets", facts.holds_secrets},
        {"failedUnits", Json::array()},
        {"time", to_rfc3339(facts.time)},
    };
    for (size_t i = 0; i < std::min(facts.failed_units.size(), max_failed_units); ++i)
        json["failedUnits"].push_back(cut(facts.failed_units[i], max_word_bytes));
    if (facts.awaits_confirmation)
        json["awaitsConfirmation"] = facts.awaits_confirmation->to_string();
    if (facts.last_admitted)
        json["lastAdmitted"] = facts.last_admitted->to_string();
    if (facts.running)
        json["running"] = {{"id", facts.running->id.to_string()},
                           {"state", to_string(facts.running->state)},
                           {"since", to_rfc3339(facts.running->since)},
                           {"operator", cut(facts.running->operator_key, max_word_bytes)}};
    return json;
}

Message read_facts(Fields& fields) {
    Facts facts;
    facts.version = static_cast<int>(fields.integer("version", 1, 1'000'000));
    facts.agent_version = text(fields, "agentVersion", max_word_bytes);
    facts.system = text(fields, "system", max_word_bytes);
    facts.nix_version = text(fields, "nixVersion", max_word_bytes);
    facts.current_system = optional_path(fields, "currentSystem");
    facts.booted_system = optional_path(fields, "bootedSystem");
    facts.profile = optional_path(fields, "profile");
    facts.last_sequence = fields.integer("lastSequence");
    if (!fields.is_null("lastAdmitted"))
        facts.last_admitted = id(fields, "lastAdmitted");
    if (!fields.is_null("running")) {
        Fields inner(fields.object("running"), "facts message, field \"running\"");
        facts.running = Running{id(inner), state(inner), inner.time("since"), text(inner, "operator", max_word_bytes)};
        inner.end();
    }
    if (!fields.is_null("awaitsConfirmation"))
        facts.awaits_confirmation = id(fields, "awaitsConfirmation");
    facts.boot_id = text(fields, "bootId", max_word_bytes);
    facts.holds_secrets = fields.boolean("holdsSecrets");
    for (const auto& item : fields.array("failedUnits", max_failed_units)) {
        if (!item.is_string() || item.get_ref<const std::string&>().size() > max_word_bytes)
            fields.fail("failedUnits", "has an item that is not the name of a unit");
        facts.failed_units.push_back(item.get<std::string>());
    }
    facts.time = fields.time("time");
    return facts;
}

Json to_json(const Refused& refused) {
    return {{"type", "refused"}, {"code", cut(refused.code, max_code_bytes)}, {"message", cut(refused.message)}};
}

Message read_refused(Fields& fields) {
    return Refused{text(fields, "code", max_code_bytes), text(fields, "message")};
}

Json to_json(const Deploy& deploy) {
    return {{"type", "deploy"}, {"document", to_json(deploy.document)}};
}

Message read_deploy(Fields& fields) {
    return Deploy{signed_document_from_json(fields.object("document"))};
}

Json to_json(const Admitted& admitted) {
    return {{"type", "admitted"}, {"id", admitted.id.to_string()}, {"attached", admitted.attached}};
}

Message read_admitted(Fields& fields) {
    return Admitted{id(fields), fields.boolean("attached")};
}

Json to_json(const Want& want) {
    if (want.indices.size() > max_want_indices)
        throw Error(
            fmt::format("a want message takes {} indices at most, not {}", max_want_indices, want.indices.size()));
    return {{"type", "want"}, {"indices", want.indices}};
}

Message read_want(Fields& fields) {
    Want want;
    for (const auto& item : fields.array("indices", max_want_indices)) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() >= max_closure_paths)
            fields.fail("indices", "has an item that is not an index into a closure list");
        want.indices.push_back(item.get<std::uint32_t>());
    }
    return want;
}

Json to_json(const Event& event) {
    return {
        {"type", "event"},
        {"number", event.number},
        {"time", to_rfc3339(event.time)},
        {"kind", kinds.to_string(event.kind)},
        {"state", to_string(event.state)},
        {"text", cut(event.text)},
        {"pathsDone", event.paths_done},
        {"pathsTotal", event.paths_total},
        {"bytesDone", event.bytes_done},
        {"bytesTotal", event.bytes_total},
    };
}

Message read_event(Fields& fields) {
    Event event;
    event.number = number(fields, "number", 1);
    event.time = fields.time("time");
    event.kind = read_enum(fields, "kind", kinds, max_code_bytes);
    event.state = state(fields);
    event.text = text(fields, "text");
    event.paths_done = number(fields, "pathsDone");
    event.paths_total = number(fields, "pathsTotal");
    event.bytes_done = number(fields, "bytesDone");
    event.bytes_total = number(fields, "bytesTotal");
    return event;
}

Json to_json(const Result& result) {
    return {
        {"type", "result"},
        {"id", result.id.to_string()},
        {"outcome", to_string(result.outcome)},
        {"code", cut(result.code, max_code_bytes)},
        {"message", cut(result.message)},
        {"generation", result.generation ? Json(*result.generation) : Json()},
        {"fetchedPaths", result.fetched_paths},
        {"fetchedBytes", result.fetched_bytes},
    };
}

Message read_result(Fields& fields) {
    Result result;
    result.id = id(fields);
    auto word = fields.string("outcome", max_code_bytes);
    auto outcome = parse_outcome(word);
    if (!outcome)
        fields.fail("outcome", fmt::format("has the unknown value {}", in_quotes(word)));
    result.outcome = *outcome;
    result.code = text(fields, "code", max_code_bytes);
    result.message = text(fields, "message");
    if (!fields.is_null("generation"))
        result.generation = number(fields, "generation", 1);
    result.fetched_paths = number(fields, "fetchedPaths");
    result.fetched_bytes = number(fields, "fetchedBytes");
    return result;
}

Json to_json(const Attach& attach) {
    return {{"type", "attach"}, {"id", attach.id.to_string()}, {"after", attach.after}};
}

Message read_attach(Fields& fields) {
    return Attach{id(fields), number(fields, "after")};
}

Json to_json(const Cancel& cancel) {
    return {{"type", "cancel"}, {"id", cancel.id.to_string()}};
}

Message read_cancel(Fields& fields) {
    return Cancel{id(fields)};
}

Json to_json(const Confirm& confirm) {
    return {{"type", "confirm"}, {"id", confirm.id.to_string()}};
}

Message read_confirm(Fields& fields) {
    return Confirm{id(fields)};
}

template <class Question>
Message read(Fields& fields) {
    return Question::from(fields);
}

struct Reader {
    std::string_view type;
    Message (*read)(Fields&);
};
constexpr std::array readers = {
    Reader{"facts", read_facts},
    Reader{"refused", read_refused},
    Reader{"deploy", read_deploy},
    Reader{"admitted", read_admitted},
    Reader{"want", read_want},
    Reader{"event", read_event},
    Reader{"result", read_result},
    Reader{"attach", read_attach},
    Reader{"cancel", read_cancel},
    Reader{"confirm", read_confirm},
    Reader{"checkHealth", read<CheckHealth>},
    Reader{"healthReport", read<HealthReport>},
    Reader{"reboot", read<RebootNode>},
    Reader{"rebooting", read<Rebooting>},
    Reader{"getHistory", read<GetHistory>},
    Reader{"history", read<History>},
    Reader{"recall", read<Recall>},
    Reader{"recalled", read<Recalled>},
    Reader{"getSecrets", read<GetSecrets>},
    Reader{"secrets", read<SecretsReport>},
    Reader{"build", read<Build>},
    Reader{"buildProgress", read<BuildProgress>},
    Reader{"buildLine", read<BuildLine>},
    Reader{"built", read<Built>},
    Reader{"notBuilt", read<NotBuilt>},
};
static_assert(readers.size() == std::variant_size_v<Message>);

Message decode_json(std::string_view bytes) {
    auto json = parse_json(bytes, "message");
    auto type = Fields(json, "message").string("type", max_text_bytes);
    auto reader = std::ranges::find(readers, type, &Reader::type);
    if (reader == readers.end())
        throw BadDocument(fmt::format("message: unknown type {}", in_quotes(type)));
    Fields fields(json, fmt::format("{} message", type));
    fields.at("type");
    auto message = reader->read(fields);
    fields.end();
    return message;
}

template <class Piece>
Piece decode_nar(std::string_view bytes) {
    if (bytes.size() <= index_bytes)
        throw BadDocument("NAR message: it holds nothing");
    std::uint32_t index = 0;
    for (size_t i = 0; i < index_bytes; ++i)
        index |= std::uint32_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
    return {index, bytes.substr(index_bytes)};
}

std::string encode_nar(char kind, std::uint32_t index, std::span<const std::byte> bytes) {
    std::string message;
    message.reserve(1 + index_bytes + bytes.size());
    message.push_back(kind);
    for (size_t i = 0; i < index_bytes; ++i)
        message.push_back(static_cast<char>(index >> (8 * i) & 0xff));
    return message.append(as_text(bytes));
}

} // namespace

std::string_view to_string(DeploymentState state) {
    return states.to_string(state);
}

std::optional<DeploymentState> parse_state(std::string_view text) {
    return states.parse(text);
}

std::string encode(const Message& message) {
    auto json = std::visit([](const auto& value) { return to_json(value); }, message);
    return json_message + dump_json(json);
}

std::string encode_closure_list_piece(std::string_view text) {
    std::string message;
    message.reserve(1 + text.size());
    return message.append(1, closure_list_message).append(text);
}

std::string encode_secret_bundle_piece(std::string_view bytes) {
    std::string message;
    message.reserve(1 + bytes.size());
    return message.append(1, secret_bundle_message).append(bytes);
}

std::string encode_nar_piece(std::uint32_t index, std::span<const std::byte> bytes) {
    return encode_nar(nar_message, index, bytes);
}

std::string encode_compressed_nar_piece(std::uint32_t index, std::span<const std::byte> bytes) {
    return encode_nar(compressed_nar_message, index, bytes);
}

Incoming decode(std::string_view bytes) {
    if (bytes.empty())
        throw BadDocument("message: it is empty");
    if (bytes.size() > max_message_bytes)
        throw BadDocument(fmt::format("message: longer than {} bytes", max_message_bytes));
    auto content = bytes.substr(1);
    switch (bytes.front()) {
    case json_message: return decode_json(content);
    case closure_list_message:
        if (content.empty())
            throw BadDocument("closure list message: it holds nothing");
        return ClosureListPiece{content};
    case secret_bundle_message:
        if (content.empty())
            throw BadDocument("secret bundle message: it holds nothing");
        return SecretBundlePiece{content};
    case nar_message: return decode_nar<NarPiece>(content);
    case compressed_nar_message: return decode_nar<CompressedNarPiece>(content);
    default:
        throw BadDocument(fmt::format("message: unknown kind 0x{:02x}", static_cast<unsigned char>(bytes.front())));
    }
}

} // namespace waggle::protocol
