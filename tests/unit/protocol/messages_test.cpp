#include "shared/base/bytes.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/message_fields.hpp"
#include "shared/protocol/messages.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <random>
#include <set>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;

const Time time = parse_rfc3339("2026-11-22T09:42:00.123Z");
const DeploymentId id{sha256("payload")};

Facts full_facts() {
    return {.version = 1,
            .agent_version = "0.1.0",
            .system = "x86_64-linux",
            .nix_version = "2.8.0",
            .current_system = "/nix/store/current",
            .booted_system = "/nix/store/booted",
            .profile = "/nix/store/profile",
            .last_sequence = 42,
            .last_admitted = id,
            .running = Running{id, DeploymentState::activating, time, "SHA256:abc"},
            .awaits_confirmation = id,
            .boot_id = "b27b8f0c-6d5b-4a2e-9e0d-3f1f0f9a4c11",
            .holds_secrets = true,
            .failed_units = {"web.service"},
            .time = time};
}

std::vector<Message> samples() {
    return {
        full_facts(),
        Facts{.version = 1,
              .agent_version = "0.1.0",
              .system = "x86_64-linux",
              .nix_version = "",
              .current_system = {},
              .booted_system = {},
              .profile = {},
              .last_sequence = 0,
              .last_admitted = {},
              .running = {},
              .awaits_confirmation = {},
              .boot_id = "",
              .holds_secrets = false,
              .failed_units = {},
              .time = time},
        Refused{"unknown-operator", "the key is not an operator of this node"},
        Deploy{sign(sample_deployment(), ssh::PrivateKey::generate())},
        Admitted{id, false},
        Admitted{id, true},
        Want{{}},
        Want{{0, 1, 999'999}},
        Event{1, time, Event::Kind::state, DeploymentState::fetching, "", 0, 0, 0, 0},
        Event{2, time, Event::Kind::progress, DeploymentState::fetching, "", 1, 2, 3, 4},
        Event{3, time, Event::Kind::log, DeploymentState::activating, "a \"line\"\twith \xc3\xa9", 0, 0, 0, 0},
        Event{4, time, Event::Kind::note, DeploymentState::failed, "a sentence", 0, 0, 0, 0},
        Result{id, Outcome::ok, "", "", 17, 2, 300},
        Result{id, Outcome::rolled_back, "health", "a check failed", std::nullopt, 0, 0},
        Attach{id, 12},
        Cancel{id},
        Confirm{id},
        CheckHealth{},
        HealthReport{false, "the check \"web\" has failed"},
        RebootNode{},
        Rebooting{"4b0a"},
        GetHistory{5},
        History{{}},
        History{{{.id = id,
                  .goal = Goal::boot,
                  .toplevel = "/nix/store/x",
                  .ended = time,
                  .operator_key = "SHA256:abc",
                  .git = GitRevision{std::string(40, 'a'), true},
                  .outcome = Outcome::rolled_back,
                  .code = "health-check",
                  .message = "why",
                  .generation = 7},
                 {.id = id,
                  .goal = Goal::test,
                  .toplevel = "",
                  .ended = time,
                  .operator_key = "",
                  .git = {},
                  .outcome = Outcome::ok,
                  .code = "",
                  .message = "",
                  .generation = {}}}},
        Recall{},
        Recall{3},
        Recalled{3, sign(sample_deployment(), ssh::PrivateKey::generate()), 100},
        Build{sign(sample_deployment(), ssh::PrivateKey::generate())},
        BuildProgress{1, 2, 3, 4},
        BuildLine{"hello> checking for gcc"},
        Built{id, {sha256("list"), 4711, 12}},
        NotBuilt{id, "build-failed", "error: builder for '/nix/store/x.drv' failed"},
        GetSecrets{},
        SecretsReport{.sequence = 0, .problem = "", .secrets = {}},
        SecretsReport{.sequence = 17,
                      .problem = "why",
                      .secrets = {{.name = "db",
                                   .path = "/run/keys/db",
                                   .state = SecretStatus::State::in_place,
                                   .owner = "db:root",
                                   .mode = "0400",
                                   .written = time,
                                   .changed = time,
                                   .note = ""},
                                  {.name = "tls",
                                   .path = "/run/keys/tls",
                                   .state = SecretStatus::State::missing,
                                   .owner = "",
                                   .mode = "",
                                   .written = {},
                                   .changed = {},
                                   .note = "a sentence"}}},
    };
}

Json json_of(const Message& message) {
    return Json::parse(encode(message).substr(1));
}

std::string message_complaint_about(const Json& json) {
    return complaint([&] { decode("J" + json.dump()); });
}

// Comparing texts compares all fields: each message writes all of them.
TEST(Messages, AreReadAsTheyWereWritten) {
    for (const auto& message : samples()) {
        auto bytes = encode(message);
        auto incoming = decode(bytes);
        ASSERT_TRUE(std::holds_alternative<Message>(incoming)) << bytes;
        EXPECT_EQ(std::get<Message>(incoming).index(), message.index()) << bytes;
        EXPECT_EQ(encode(std::get<Message>(incoming)), bytes);
    }
    auto incoming = decode(encode(full_facts()));
    const auto& facts = std::get<Facts>(std::get<Message>(incoming));
    EXPECT_EQ(facts.current_system, "/nix/store/current");
    EXPECT_EQ(facts.last_admitted, id);
    ASSERT_TRUE(facts.running);
    EXPECT_EQ(facts.running->state, DeploymentState::activating);
    EXPECT_EQ(facts.running->operator_key, "SHA256:abc");
}

TEST(Messages, ATooLongHistoryOmitsTheOldestEntries) {
    HistoryEntry entry;
    entry.id = id;
    entry.toplevel = "/nix/store/" + std::string(200, 'x');
    entry.message = std::string(max_history_message_bytes, '\1');
    History history{std::vector(max_history_entries, entry)};
    history.entries.front().code = "newest";
    const auto bytes = encode(history);
    EXPECT_LE(bytes.size(), max_message_bytes);
    const auto incoming = decode(bytes);
    const auto& sent = std::get<History>(std::get<Message>(incoming)).entries;
    EXPECT_GT(sent.size(), 200u);
    EXPECT_EQ(sent.front().code, "newest");
}

TEST(Messages, RepresentAbsentValuesAsNull) {
    auto json = json_of(samples()[1]);
    for (auto key : {"currentSystem", "bootedSystem", "profile", "lastAdmitted", "running"})
        EXPECT_TRUE(json.at(key).is_null()) << key;
    EXPECT_TRUE(json_of(Result{}).at("generation").is_null());
}

TEST(Messages, AreRefusedWithMissingOrUnknownFields) {
    for (const auto& message : samples()) {
        auto json = json_of(message);
        for (const auto& item : json.items()) {
            auto without = json;
            without.erase(item.key());
            EXPECT_THAT(message_complaint_about(without), HasSubstr("field \"" + item.key() + "\" is missing")) << json;
        }
        json["colour"] = 1;
        EXPECT_THAT(message_complaint_about(json), HasSubstr("unknown field \"colour\"")) << json;
    }
    auto json = json_of(full_facts());
    json["running"]["colour"] = 1;
    EXPECT_THAT(message_complaint_about(json), HasSubstr("unknown field \"colour\""));
}

TEST(Messages, AreRefusedWithFieldsOfAnotherType) {
    const std::vector<Json> values = {true, -7, 1.5, "text", Json::array({Json::object()}), Json::object()};
    for (const auto& message : samples()) {
        auto json = json_of(message);
        for (const auto& item : json.items())
            for (const auto& value : values) {
                auto changed = json;
                changed[item.key()] = value;
                bool may_be_fine = value.is_string() ? item.value().is_string() || item.value().is_null()
                                                     : value.is_boolean() && item.value().is_boolean();
                if (!may_be_fine) {
                    EXPECT_NE(message_complaint_about(changed), "") << changed.dump();
                }
            }
    }
}

TEST(Messages, AreRefusedWithInvalidValuesNamingTheField) {
    auto facts = json_of(full_facts());
    auto event = json_of(Event{1, time, Event::Kind::state, DeploymentState::received, "", 0, 0, 0, 0});
    auto result = json_of(Result{});
    auto want = json_of(Want{{1}});
    auto secrets = json_of(SecretsReport{});
    const Json status = json_of(samples().back())["secrets"][0];
    auto asleep = status;
    asleep["state"] = "asleep";
    struct Case {
        Json json;
        const char* key;
        Json value;
        const char* said;
    };
    const Case cases[] = {
        {facts, "type", "gossip", "message: unknown type \"gossip\""},
        {facts, "type", "\u001b[31m", "message: unknown type \"\\u001b[31m\""},
        {facts, "type", 1, "message: field \"type\" is not a string"},
        {facts, "version", 0, "facts message: field \"version\""},
        {facts, "agentVersion", std::string(1000, 'x'), "facts message: field \"agentVersion\" is longer than"},
        {facts, "profile", std::string(20'000, 'x'), "facts message: field \"profile\" is longer than"},
        {facts, "lastSequence", -1, "facts message: field \"lastSequence\""},
        {facts, "lastAdmitted", "aa", "facts message: field \"lastAdmitted\" is not a SHA-256"},
        {facts, "running", "x", "facts message: field \"running\" is not an object"},
        {event, "number", 0, "event message: field \"number\""},
        {event, "kind", "gossip", "event message: field \"kind\" has the unknown value \"gossip\""},
        {event, "state", "asleep", "event message: field \"state\" has the unknown value \"asleep\""},
        {event, "text", std::string(3 * max_text_bytes + 1, 'x'), "event message: field \"text\" is longer than"},
        {event, "bytesDone", max_safe_integer + 1, "event message: field \"bytesDone\""},
        {result, "outcome", "fine", "result message: field \"outcome\" has the unknown value \"fine\""},
        {result, "code", std::string(1000, 'x'), "result message: field \"code\" is longer than"},
        {result, "generation", 0, "result message: field \"generation\""},
        {want, "indices", std::vector<int>(max_want_indices + 1, 0),
         "want message: field \"indices\" has more than 4096"},
        {want, "indices", {max_closure_paths}, "want message: field \"indices\" has an item"},
        {secrets, "secrets", Json::array({asleep}), "field \"state\" has the unknown value \"asleep\""},
        {secrets, "secrets", std::vector<Json>(max_reported_secrets + 1, status), "field \"secrets\" has more than"},
        {want, "indices", {-1}, "want message: field \"indices\" has an item"},
    };
    for (const auto& c : cases) {
        auto json = c.json;
        json[c.key] = c.value;
        EXPECT_THAT(message_complaint_about(json), HasSubstr(c.said)) << c.key;
    }
}

TEST(Messages, PiecesOfASecretBundleMayHoldAnyBytes) {
    const std::string bytes("a\0\xff", 3);
    const auto message = encode_secret_bundle_piece(bytes);
    EXPECT_EQ(std::get<SecretBundlePiece>(decode(message)).bytes, bytes);
}

TEST(Messages, AReportOfAllSecretsFitsIntoOne) {
    SecretStatus status;
    status.name = std::string(128, 'n');
    status.path = std::string(512, 'p');
    status.owner = std::string(64, 'o');
    status.note = std::string(10'000, 'x'); // is cut
    EXPECT_LE(encode(SecretsReport{.sequence = 1, .problem = "", .secrets = {max_reported_secrets, status}}).size(),
              max_message_bytes);
}

TEST(Messages, OfUnknownKindsAreRefused) {
    auto said = [](std::string_view bytes) { return complaint([&] { decode(bytes); }); };
    EXPECT_THAT(said(""), HasSubstr("empty"));
    EXPECT_THAT(said("J"), HasSubstr("not JSON"));
    EXPECT_THAT(said("J[]"), HasSubstr("not a JSON object"));
    EXPECT_THAT(said("J{}"), HasSubstr("field \"type\" is missing"));
    EXPECT_THAT(said("{}"), HasSubstr("unknown kind 0x7b"));
    EXPECT_THAT(said("\xff"), HasSubstr("unknown kind 0xff"));
    EXPECT_THAT(said("L"), HasSubstr("holds nothing"));
    EXPECT_THAT(said("S"), HasSubstr("holds nothing"));
    EXPECT_THAT(said("N"), HasSubstr("holds nothing"));
    EXPECT_THAT(said(std::string_view("N\0\0\0\0", 5)), HasSubstr("holds nothing"));
    EXPECT_THAT(said("Z"), HasSubstr("holds nothing"));
    EXPECT_THAT(said(std::string_view("Z\0\0\0\0", 5)), HasSubstr("holds nothing"));
    EXPECT_THAT(said(std::string(max_message_bytes + 1, 'L')), HasSubstr("longer than"));
}

TEST(Messages, CarryPiecesOfTheClosureListAndOfNars) {
    auto bytes = encode_closure_list_piece("a line\n");
    auto incoming = decode(bytes);
    EXPECT_EQ(std::get<ClosureListPiece>(incoming).text, "a line\n");

    bytes = encode_nar_piece(0x04030201, as_bytes("nar\xff"));
    EXPECT_EQ(bytes, "N\1\2\3\4nar\xff");
    incoming = decode(bytes);
    EXPECT_EQ(std::get<NarPiece>(incoming).index, 0x04030201U);
    EXPECT_EQ(std::get<NarPiece>(incoming).bytes, "nar\xff");
    EXPECT_EQ(std::get<NarPiece>(incoming).bytes.data(), bytes.data() + 5) << "a view, not a copy";

    bytes = encode_compressed_nar_piece(0x04030201, as_bytes("frame\xff"));
    EXPECT_EQ(bytes, "Z\1\2\3\4frame\xff");
    incoming = decode(bytes);
    EXPECT_EQ(std::get<CompressedNarPiece>(incoming).index, 0x04030201U);
    EXPECT_EQ(std::get<CompressedNarPiece>(incoming).bytes, "frame\xff");

    EXPECT_LT(data_piece_bytes + 5, max_message_bytes);
}

// A unit may log anything, and a sentence may quote it: neither is a reason to lose the message.
TEST(Messages, TruncateAndRepairTextsInsteadOfRefusingThem) {
    std::string noise(5 * max_text_bytes, '\xff');
    Event event{1, time, Event::Kind::log, DeploymentState::activating, noise, 0, 0, 0, 0};
    auto incoming = decode(encode(event));
    const auto& text = std::get<Event>(std::get<Message>(incoming)).text;
    EXPECT_EQ(text.size(), 3 * max_text_bytes);
    EXPECT_TRUE(text.starts_with("\xef\xbf\xbd\xef\xbf\xbd"));

    EXPECT_NO_THROW(decode(encode(Result{id, Outcome::refused, noise, noise, {}, 0, 0})));
    EXPECT_NO_THROW(decode(encode(Refused{noise, noise})));
    auto facts = full_facts();
    facts.agent_version = facts.system = facts.nix_version = facts.running->operator_key = noise;
    facts.current_system = facts.booted_system = facts.profile = noise;
    EXPECT_NO_THROW(decode(encode(facts)));
}

TEST(Messages, AWantWithTooManyIndicesIsNotEncoded) {
    EXPECT_NO_THROW(encode(Want{std::vector<std::uint32_t>(max_want_indices)}));
    EXPECT_THROW(encode(Want{std::vector<std::uint32_t>(max_want_indices + 1)}), Error);
}

TEST(Messages, OfTheMaximumSizesFit) {
    SignedDocument document{std::string(max_payload_bytes, 'x'), std::vector<std::string>(8, std::string(1024, 'x'))};
    EXPECT_LT(encode(Deploy{document}).size(), max_message_bytes);
    EXPECT_LT(encode(Want{std::vector<std::uint32_t>(max_want_indices, 999'999)}).size(), max_message_bytes);
    auto control = std::string(max_text_bytes, '\1'); // six bytes each in JSON
    EXPECT_LT(encode(Result{id, Outcome::refused, control, control, {}, 0, 0}).size(), max_message_bytes);
}

TEST(Messages, AreRefusedIfTruncatedAnywhere) {
    for (const auto& message : samples()) {
        auto bytes = encode(message);
        for (size_t length = 0; length < bytes.size(); ++length)
            EXPECT_THROW(decode(bytes.substr(0, length)), BadDocument) << length << " of " << bytes;
    }
}

TEST(Messages, OfRandomBytesAreReadOrRefused) {
    std::mt19937 random(1); // the same cases in every run
    auto encoded = samples();
    for (int i = 0; i < 5000; ++i) {
        auto bytes = encode(encoded[random() % encoded.size()]);
        for (auto count = random() % 4 + 1; count > 0; --count)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        complaint([&] { decode(bytes); }); // any other exception fails the test

        std::string noise(random() % 64, '\0');
        for (char& c : noise)
            c = static_cast<char>(random());
        for (auto kind : {"", "J", "L", "N", "Z", "J{", "J{\"type\":"})
            complaint([&] { decode(kind + noise); });
    }
}

// The fuzzer starts with the seeds. Without one for a kind of message, it would have to guess every key.
TEST(Messages, EachKindIsAmongTheFuzzersSeeds) {
    std::set<size_t> kinds;
    const auto folder = std::filesystem::path(WAGGLE_TEST_DATA_DIR).parent_path() / "fuzz/seeds/protocol_message";
    for (const auto& seed : std::filesystem::directory_iterator(folder)) {
        EXPECT_EQ(complaint([&] {
                      const auto incoming = decode(read_file(seed.path(), 1 << 20));
                      if (const auto* message = std::get_if<Message>(&incoming))
                          kinds.insert(message->index());
                  }),
                  "")
            << seed.path();
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<Message>);
}

TEST(DeploymentState, HasAName) {
    for (auto word : {"received", "fetching", "staged", "activating", "activated", "committed", "rolling-back",
                      "rolled-back", "failed"}) {
        auto state = parse_state(word);
        ASSERT_TRUE(state) << word;
        EXPECT_EQ(to_string(*state), word);
    }
    EXPECT_EQ(parse_state("rolled_back"), std::nullopt);
    EXPECT_EQ(parse_state(""), std::nullopt);
}

} // namespace
} // namespace waggle::protocol
