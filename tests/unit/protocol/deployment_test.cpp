#include "shared/protocol/deployment.hpp"
#include "shared/protocol/document_fields.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The error for the sample's payload with another value at the JSON pointer; "" if there is none.
std::string complaint_with(const std::string& pointer, const Json& value) {
    auto json = Json::parse(to_payload(sample_deployment()));
    json[Json::json_pointer(pointer)] = value;
    return complaint([&] { parse_deployment(json.dump()); });
}

TEST(Deployment, IsReadAsItWasWritten) {
    auto full = sample_deployment();
    EXPECT_EQ(parse_deployment(to_payload(full)), full);

    auto plain = full;
    plain.secrets = {};
    plain.parent.reset();
    plain.git.reset();
    plain.delivery = Delivery::session;
    plain.rollback = {};
    plain.local_content = LocalContent::trust_node;
    plain.remove_agent = plain.retry = false;
    for (auto goal : {Goal::push, Goal::switch_, Goal::boot, Goal::test, Goal::dry_activate})
        for (auto reboot : {Reboot::never, Reboot::always, Reboot::if_needed}) {
            plain.goal = goal;
            plain.reboot = reboot;
            EXPECT_EQ(parse_deployment(to_payload(plain)), plain);
        }
}

TEST(Deployment, ForSecretsOnlyHasNoSystem) {
    auto upload = sample_deployment();
    upload.goal = Goal::upload_keys;
    upload.toplevel.reset();
    upload.closure.reset();
    EXPECT_EQ(parse_deployment(to_payload(upload)), upload);
    const auto refusal = [&](const std::function<void(Deployment&)>& change) {
        auto changed = upload;
        change(changed);
        return complaint([&] { parse_deployment(to_payload(changed)); });
    };
    EXPECT_THAT(refusal([](auto& d) { d.toplevel = sample_deployment().toplevel; }), HasSubstr("must be null"));
    EXPECT_THAT(refusal([](auto& d) { d.closure = sample_deployment().closure; }), HasSubstr("must be null"));
    EXPECT_THAT(refusal([](auto& d) { d.secrets = {}; }), HasSubstr("field \"secrets\""));
}

TEST(Deployment, RefusesSecretsForGoalsThatChangeNothing) {
    for (auto goal : {Goal::push, Goal::dry_activate}) {
        auto changed = sample_deployment();
        changed.goal = goal;
        EXPECT_THAT(complaint([&] { parse_deployment(to_payload(changed)); }), HasSubstr("changes nothing"));
    }
}

// The names are a contract with every other release: the table of docs/reference/protocol.md.
TEST(Deployment, HasExactlyTheDocumentedFields) {
    auto json = Json::parse(to_payload(sample_deployment()));
    auto keys = [](const Json& object) {
        std::vector<std::string> names;
        for (const auto& item : object.items())
            names.push_back(item.key());
        return names;
    };
    EXPECT_THAT(keys(json),
                testing::UnorderedElementsAre("v", "type", "hive", "node", "nodeKeys", "system", "goal", "toplevel",
                                              "closure", "secrets", "sequence", "parent", "created", "notBefore",
                                              "expires", "delivery", "rollback", "reboot", "removeAgent",
                                              "localContent", "retry", "git", "specialisation", "bootFiles"));
    EXPECT_THAT(keys(json["closure"]), testing::UnorderedElementsAre("sha256", "bytes", "paths"));
    EXPECT_THAT(keys(json["secrets"]), testing::UnorderedElementsAre("replace", "sha256", "bytes"));
    EXPECT_THAT(keys(json["rollback"]),
                testing::UnorderedElementsAre("enable", "confirmTimeout", "activationTimeout", "onFailedUnits"));
    EXPECT_THAT(keys(json["git"]), testing::UnorderedElementsAre("rev", "dirty"));
    auto keep = sample_deployment();
    keep.secrets = {};
    EXPECT_EQ(Json::parse(to_payload(keep))["secrets"], Json::parse(R"({"keep":true})"));
}

TEST(Deployment, RefusesMissingAndUnknownFields) {
    const auto json = Json::parse(to_payload(sample_deployment()));
    auto check_object = [&](const std::string& prefix) {
        for (const auto& item : json.at(Json::json_pointer(prefix)).items()) {
            auto without = json;
            without[Json::json_pointer(prefix)].erase(item.key());
            EXPECT_THAT(complaint([&] { parse_deployment(without.dump()); }),
                        testing::AllOf(HasSubstr("\"" + item.key() + "\""), HasSubstr("is missing")));
        }
        auto more = json;
        more[Json::json_pointer(prefix)]["colour"] = 1;
        EXPECT_THAT(complaint([&] { parse_deployment(more.dump()); }), HasSubstr("unknown field \"colour\""));
    };
    for (auto prefix : {"", "/closure", "/secrets", "/rollback", "/git"})
        check_object(prefix);
}

// Every field, with every JSON type that is not its own.
TEST(Deployment, RefusesFieldsOfAnotherType) {
    const auto json = Json::parse(to_payload(sample_deployment()));
    const std::vector<Json> values = {
        nullptr, true, 7, -7, 1.5, "text", Json::array(), Json::object(), Json::array({nullptr})};
    std::vector<std::string> pointers = {"/nodeKeys", "/closure", "/secrets", "/rollback", "/git"};
    const auto leaves = json.flatten();
    for (const auto& item : leaves.items())
        pointers.push_back(item.key());
    for (const auto& text : pointers)
        for (const auto& value : values) {
            Json::json_pointer pointer(text);
            bool same_type =
                value.type() == json.at(pointer).type() || (value.is_number() && json.at(pointer).is_number());
            bool may_be_null = value.is_null() && (text == "/parent" || text == "/git" || text == "/specialisation");
            if ((same_type && text != "/nodeKeys") || may_be_null)
                continue;
            auto changed = json;
            changed[pointer] = value;
            EXPECT_NE(complaint([&] { parse_deployment(changed.dump()); }), "") << text << " = " << value.dump();
        }
}

TEST(Deployment, RefusesInvalidValuesAndNamesTheField) {
    struct Case {
        const char* pointer;
        Json value;
        const char* said;
    };
    const Case cases[] = {
        {"/v", 2, "field \"v\" is 2, and this program knows 1 only"},
        {"/v", 0, "field \"v\""},
        {"/type", "hello", "field \"type\" is \"hello\", not \"deployment\""},
        {"/hive", "", "field \"hive\" is not a name"},
        {"/node", "../alpha", "field \"node\" is not a name"},
        {"/node", "al\u001bpha", "field \"node\" is not a name: \"al\\u001bpha\""},
        {"/nodeKeys", Json::array(), "field \"nodeKeys\" is empty"},
        {"/nodeKeys/0", "ssh-rsa AAAA", "field \"nodeKeys\" has a bad key: this is an RSA key"},
        {"/nodeKeys/0", sample_deployment().node_keys[0].to_string() + " comment",
         "\"nodeKeys\" has a key that is not in the form"},
        {"/nodeKeys/0", "ssh-ed25519 AAAA", "field \"nodeKeys\" has a bad key"},
        {"/system", "x86_64", "field \"system\""},
        {"/system", "-linux", "field \"system\""},
        {"/system", "x86_64-", "field \"system\""},
        {"/system", "X86_64-linux", "field \"system\""},
        {"/system", "x86_64-linux-gnu", "field \"system\""},
        {"/system", "x86_64-linux\n", "field \"system\""},
        {"/goal", "Switch", "field \"goal\" has the unknown value \"Switch\""},
        {"/goal", "build", "field \"goal\" is \"build\", which a node has no part in"},
        {"/toplevel", nullptr, "field \"toplevel\" is null, and the goal switch needs one"},
        {"/toplevel", "/etc/passwd", "field \"toplevel\" is not a store path"},
        {"/toplevel", "/nix/store/../etc", "field \"toplevel\" is not a store path"},
        {"/toplevel", std::string(32, 'a') + "-x", "field \"toplevel\" is not a store path"},
        {"/closure", nullptr, "field \"closure\" is null, and the goal switch needs one"},
        {"/closure/sha256", "aa", "field \"closure\": field \"sha256\" is not a SHA-256"},
        {"/closure/sha256", std::string(64, 'A'), "field \"closure\": field \"sha256\" is not a SHA-256"},
        {"/closure/bytes", 0, "field \"closure\": field \"bytes\" is not between 1 and"},
        {"/closure/bytes", max_closure_list_bytes + 1, "field \"closure\": field \"bytes\" is not between 1 and"},
        {"/closure/paths", 0, "field \"closure\": field \"paths\" is not between 1 and"},
        {"/closure/paths", max_closure_paths + 1, "field \"closure\": field \"paths\" is not between 1 and"},
        {"/secrets", Json::object(), "field \"secrets\": field \"replace\" is missing"},
        {"/secrets", {{"keep", false}}, "field \"secrets\": field \"keep\" can only be true"},
        {"/secrets/keep", true, "field \"secrets\": unknown field"},
        {"/secrets/replace", false, "field \"secrets\": field \"replace\" can only be true"},
        {"/secrets/bytes", max_secret_bundle_bytes + 1, "field \"secrets\": field \"bytes\" is not between 1 and"},
        {"/sequence", 0, "field \"sequence\" is not between 1 and"},
        {"/sequence", max_safe_integer + 1, "field \"sequence\" is not between 1 and"},
        {"/sequence", 18446744073709551615U, "field \"sequence\" is not between 1 and"},
        {"/parent", "aa", "field \"parent\" is not a SHA-256"},
        {"/created", "yesterday", "field \"created\" is not a time"},
        {"/notBefore", "2026-11-22T10:42:00.000Z", "field \"expires\" is not after \"notBefore\""},
        {"/expires", "2026-11-22T09:41:00.000Z", "field \"expires\" is not after \"notBefore\""},
        {"/expires", "2026-11-22T10:42:00+01:00", "field \"expires\" is not a time"},
        {"/delivery", "pigeon", "field \"delivery\" has the unknown value \"pigeon\""},
        {"/rollback/activationTimeout", 0, "field \"rollback\": field \"activationTimeout\" is not between"},
        {"/rollback/confirmTimeout", 0, "field \"rollback\": field \"confirmTimeout\" is not between 1 and 86400"},
        {"/rollback/confirmTimeout", 86401, "field \"rollback\": field \"confirmTimeout\" is not between"},
        {"/rollback/onFailedUnits", "panic", "field \"rollback\": field \"onFailedUnits\" has the unknown value"},
        {"/reboot", "if-needed", "field \"reboot\" has the unknown value"},
        {"/localContent", "any", "field \"localContent\" has the unknown value"},
        {"/git/rev", std::string(39, 'a'), "field \"git\": field \"rev\" is not a git revision"},
        {"/git/rev", std::string(40, 'g'), "field \"git\": field \"rev\" is not a git revision"},
        {"/git/rev", "", "field \"git\": field \"rev\" is not a git revision"},
    };
    for (const auto& c : cases)
        EXPECT_THAT(complaint_with(c.pointer, c.value), StartsWith(std::string("deployment")))
            << c.pointer << " = " << c.value.dump();
    for (const auto& c : cases)
        EXPECT_THAT(complaint_with(c.pointer, c.value), HasSubstr(c.said)) << c.pointer << " = " << c.value.dump();
    EXPECT_EQ(complaint_with("/git/rev", std::string(64, 'a')), "");
    EXPECT_EQ(complaint_with("/git", nullptr), "");
    EXPECT_EQ(complaint_with("/parent", nullptr), "");
    EXPECT_EQ(complaint_with("/system", "aarch64-linux"), "");
}

TEST(Deployment, WithTooManyNodeKeysIsRefused) {
    auto deployment = sample_deployment();
    deployment.node_keys.assign(max_node_keys + 1, deployment.node_keys[0]);
    EXPECT_THAT(complaint([&] { parse_deployment(to_payload(deployment)); }),
                HasSubstr("\"nodeKeys\" has more than 8"));
}

TEST(Deployment, RefusesAPayloadAboveTheSizeLimit) {
    auto payload = to_payload(sample_deployment());
    payload.resize(max_payload_bytes, ' ');
    EXPECT_EQ(complaint([&] { parse_deployment(payload); }), "");
    EXPECT_THAT(complaint([&] { parse_deployment(payload + " "); }), HasSubstr("longer than 65536 bytes"));
}

TEST(Deployment, IsRefusedIfTruncatedAnywhere) {
    auto payload = to_payload(sample_deployment());
    for (size_t length = 0; length < payload.size(); ++length)
        EXPECT_THROW(parse_deployment(payload.substr(0, length)), BadDocument) << length;
}

TEST(Deployment, WithRandomBytesChangedIsReadOrRefused) {
    auto payload = to_payload(sample_deployment());
    std::mt19937 random(1); // the same cases in every run
    for (int i = 0; i < 3000; ++i) {
        auto changed = payload;
        for (auto count = random() % 4 + 1; count > 0; --count)
            changed[random() % changed.size()] = static_cast<char>(random());
        complaint([&] { parse_deployment(changed); }); // any other exception fails the test
    }
}

TEST(Goal, HasANameAndItsEffectsOnANode) {
    struct Row {
        Goal goal;
        const char* word;
        bool activates;
        bool sets_profile;
    };
    const Row rows[] = {
        {Goal::build, "build", false, false},  {Goal::push, "push", false, false},
        {Goal::switch_, "switch", true, true}, {Goal::boot, "boot", true, true},
        {Goal::test, "test", true, false},     {Goal::dry_activate, "dry-activate", true, false},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(to_string(row.goal), row.word);
        EXPECT_EQ(parse_goal(row.word), row.goal);
        EXPECT_EQ(activates(row.goal), row.activates) << row.word;
        EXPECT_EQ(sets_profile(row.goal), row.sets_profile) << row.word;
    }
    EXPECT_EQ(parse_goal(""), std::nullopt);
    EXPECT_EQ(parse_goal("dry_activate"), std::nullopt);
}

TEST(DeploymentId, IsSixtyFourHexadecimalDigits) {
    DeploymentId id{sha256("payload")};
    EXPECT_EQ(DeploymentId::parse(id.to_string()), id);
    EXPECT_EQ(id.brief(), id.to_string().substr(0, 12));
    for (const auto& bad :
         {std::string(), std::string(63, 'a'), std::string(66, 'a'), std::string(64, 'A'), std::string(64, 'g')})
        EXPECT_THROW(DeploymentId::parse(bad), BadDocument) << bad;
}

} // namespace
} // namespace waggle::protocol
