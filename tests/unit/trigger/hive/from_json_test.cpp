#include "trigger/hive/from_json.hpp"
#include "trigger/hive/nix_options.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {
namespace {

using protocol::BadDocument;
using protocol::Json;

Json node() {
    return Json::parse(R"({
        "deployment": {
            "tags": ["web"], "targetHost": "10.0.0.1", "targetPort": null,
            "agent": {"enable": true, "port": 9244, "hostKey": null},
            "rollback": {"enable": false, "confirmTimeout": 90, "activationTimeout": 600, "onFailedUnits": "keep"},
            "localContent": "exact"
        },
        "system": "x86_64-linux", "agentEnabled": true, "hive": "demo", "node": "alpha",
        "drvPath": "/nix/store/00000000000000000000000000000000-alpha.drv",
        "toplevel": "/nix/store/00000000000000000000000000000000-alpha"
    })");
}

TEST(EvaluatedNode, IsReadFromJson) {
    const EvaluatedNode read = evaluated_node_from_json("a", node());
    EXPECT_EQ(read.name, "a");
    EXPECT_EQ(read.node, "alpha");
    EXPECT_EQ(read.deployment.target_host, "10.0.0.1");
    EXPECT_FALSE(read.deployment.target_port);
    EXPECT_FALSE(read.deployment.rollback.enable);
    EXPECT_EQ(read.deployment.rollback.confirm_timeout, std::chrono::seconds(90));
    EXPECT_TRUE(read.deployment.rollback.keep_on_failed_units);
    EXPECT_EQ(read.deployment.local_content, protocol::LocalContent::exact);
    EXPECT_EQ(read.toplevel.name(), "alpha");
}

TEST(EvaluatedNode, MayHaveNoAgentName) {
    Json json = node();
    json["hive"] = nullptr;
    json["node"] = nullptr;
    EXPECT_EQ(evaluated_node_from_json("a", json).hive, "");
}

TEST(EvaluatedNode, IsRefusedIfAFieldIsInvalid) {
    for (const auto& [path, value] : std::map<std::string, Json>{{"/system", 1},
                                                                 {"/node", "../x"},
                                                                 {"/deployment/targetPort", 70000},
                                                                 {"/deployment/agent/port", 0},
                                                                 {"/deployment/tags", {1}},
                                                                 {"/deployment/targetHost", {}}}) {
        Json json = node();
        json[Json::json_pointer(path)] = value;
        if (path == "/deployment/targetHost")
            json[Json::json_pointer(path)] = 7;
        EXPECT_THROW(evaluated_node_from_json("a", json), BadDocument) << path;
    }
}

Json key() {
    return Json::parse(R"({"path": "/run/keys/db", "user": "db", "group": "root", "permissions": "0440",
        "uploadAt": "post-activation", "keyFile": null, "keyCommand": ["pass", "db"], "hasText": false,
        "restartUnits": ["db.service"], "reloadUnits": [], "neededForUsers": false})");
}

TEST(EvaluatedNode, HasKeys) {
    Json json = node();
    json["keys"]["db"] = key();
    const auto read = evaluated_node_from_json("a", json).deployment.keys;
    ASSERT_EQ(read.size(), 1u);
    EXPECT_EQ(read[0].file.name, "db");
    EXPECT_EQ(read[0].file.permissions, 0440u);
    EXPECT_EQ(read[0].file.upload_at, protocol::UploadAt::post_activation);
    EXPECT_EQ(read[0].key_command, (std::vector<std::string>{"pass", "db"}));
    EXPECT_FALSE(read[0].key_file);
    for (const char* field : {"permissions", "uploadAt", "keyCommand", "hasText", "user"}) {
        Json wrong = json;
        wrong["keys"]["db"][field] = 7;
        EXPECT_THROW(evaluated_node_from_json("a", wrong), BadDocument) << field;
    }
}

TEST(KeyTextsOf, AreReadFromJson) {
    const auto texts = key_texts_from_json(Json::parse(R"({"a": "x\ny", "b": ""})"));
    EXPECT_EQ(as_text(texts.at("a")), "x\ny");
    EXPECT_TRUE(texts.at("b").empty());
    EXPECT_THROW(key_texts_from_json(Json::parse(R"({"a": 7})")), BadDocument);
}

TEST(HiveInfoOf, IsReadFromJson) {
    const HiveInfo info = hive_info_from_json(Json::parse(
        R"({"meta": {"name": "demo", "description": "d", "allowApplyAll": false, "machinesFile": "/etc/m"}, "nodes": ["a", "b"]})"));
    EXPECT_EQ(info.name, "demo");
    EXPECT_FALSE(info.allow_apply_all);
    EXPECT_EQ(info.machines_file, "/etc/m");
    EXPECT_EQ(info.nodes.size(), 2u);
}

TEST(NixArguments, NameTheMachinesFileAndTheOptions) {
    EXPECT_EQ(arguments({.show_trace = false, .builders = {}, .options = {{"cores", "2"}}}, "/etc/m"),
              (std::vector<std::string>{"--option", "builders", "@/etc/m", "--option", "cores", "2"}));
    EXPECT_TRUE(arguments({}, std::nullopt).empty());
}

TEST(NixArguments, BuildersOfTheCommandLineReplaceTheMachinesFile) {
    EXPECT_EQ(arguments({.show_trace = false, .builders = "ssh://big", .options = {}}, "/etc/m"),
              (std::vector<std::string>{"--option", "builders", "ssh://big"}));
}

} // namespace
} // namespace waggle::trigger
