#include "agent/node/config.hpp"
#include "shared/base/error.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>

namespace waggle::agent {
namespace {

using nlohmann::json;

json good() {
    return {{"v", 1},
            {"hive", "demo"},
            {"node", "alpha"},
            {"system", "x86_64-linux"},
            {"listen", {"::", "eth0"}},
            {"port", 9244},
            {"operators", {ssh::PrivateKey::generate().public_key().to_string() + " anna@laptop"}},
            {"identityFile", "/etc/ssh/ssh_host_ed25519_key"},
            {"generateIdentity", false},
            {"stateDir", "/var/lib/waggle-agent"},
            {"settings", json::object()}};
}

TEST(Config, IsReadFieldByField) {
    auto text = good();
    text["settings"] = {
        {"logLevel", "debug"}, {"maxConnections", 5}, {"maxConnectionsPerAddress", 2}, {"storeTimeout", 90}};
    const auto config = parse_config(text.dump(), "agent.json");
    EXPECT_EQ(config.hive, "demo");
    EXPECT_EQ(config.node, "alpha");
    EXPECT_EQ(config.listen, (std::vector<std::string>{"::", "eth0"}));
    EXPECT_EQ(config.port, 9244);
    EXPECT_EQ(config.operators.size(), 1);
    EXPECT_EQ(config.identity_file, "/etc/ssh/ssh_host_ed25519_key");
    EXPECT_FALSE(config.generate_identity);
    EXPECT_EQ(config.settings.log_level, "debug");
    EXPECT_EQ(config.settings.max_connections, 5);
    EXPECT_EQ(config.settings.store_timeout, std::chrono::seconds(90));
}

struct Wrong {
    const char* field;
    std::function<void(json&)> change;
};

class WrongConfig : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfig, IsRefusedNamingFileAndField) {
    auto text = good();
    GetParam().change(text);
    try {
        parse_config(text.dump(), "/etc/agent.json");
        FAIL();
    } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find("/etc/agent.json"), std::string::npos) << message;
        EXPECT_NE(message.find(GetParam().field), std::string::npos) << message;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Fields, WrongConfig,
    testing::Values(
        Wrong{"v", [](json& j) { j["v"] = 2; }}, Wrong{"hive", [](json& j) { j["hive"] = "../x"; }},
        Wrong{"node", [](json& j) { j.erase("node"); }}, Wrong{"listen", [](json& j) { j["listen"] = json::array(); }},
        Wrong{"listen", [](json& j) { j["listen"] = {1}; }}, Wrong{"port", [](json& j) { j["port"] = 70000; }},
        Wrong{"operators", [](json& j) { j["operators"] = json::array(); }},
        Wrong{"operators", [](json& j) { j["operators"] = {"ssh-rsa AAAAB3NzaC1yc2E="}; }},
        Wrong{"operators", [](json& j) { j["operators"][0] = "no-pty " + j["operators"][0].get<std::string>(); }},
        Wrong{"identityFile", [](json& j) { j["identityFile"] = "relative"; }},
        Wrong{"generateIdentity", [](json& j) { j["generateIdentity"] = "no"; }},
        Wrong{"stateDir", [](json& j) { j["stateDir"] = ""; }}, Wrong{"colour", [](json& j) { j["colour"] = "red"; }},
        Wrong{"logLevels", [](json& j) { j["settings"] = {{"logLevels", "info"}}; }}));

} // namespace
} // namespace waggle::agent
