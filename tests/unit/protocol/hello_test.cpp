#include "shared/base/bytes.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/sshsig.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;

class HelloTest : public testing::Test {
protected:
    ssh::PrivateKey operator_key = ssh::PrivateKey::generate();
    ssh::PublicKey node_key = ssh::PrivateKey::generate().public_key();
    Hello hello{random_bytes<32>(),
                random_bytes<32>(),
                "demo",
                "alpha",
                node_key,
                {1, 2},
                parse_rfc3339("2026-11-22T09:42:00.000Z")};
    SessionExpectation expected{hello.exporter, hello.nonce,
                                "demo",         "alpha",
                                node_key,       {ssh::PrivateKey::generate().public_key(), operator_key.public_key()}};

    // The message for a payload that `change` was applied to, signed by the operator.
    template <class Change>
    std::string changed(Change change) const {
        auto payload = Json::parse(inner());
        change(payload);
        return message(payload.dump(), ssh::sshsig_sign(operator_key, session_namespace, payload.dump()));
    }
    std::string inner() const {
        return std::string(
            as_text(from_base64(Json::parse(sign_hello(hello, operator_key))["payload"].get<std::string>()).value()));
    }
    static std::string message(std::string_view payload, std::string_view signature) {
        return Json{{"payload", to_base64(payload)}, {"signature", to_base64(signature)}}.dump();
    }
};

TEST_F(HelloTest, IsReadAsItWasSigned) {
    auto message = sign_hello(hello, operator_key);
    EXPECT_LT(message.size(), max_hello_bytes);
    auto verified = verify_hello(message);
    EXPECT_EQ(verified.operator_key, operator_key.public_key());
    EXPECT_EQ(verified.hello.exporter, hello.exporter);
    EXPECT_EQ(verified.hello.nonce, hello.nonce);
    EXPECT_EQ(verified.hello.hive, hello.hive);
    EXPECT_EQ(verified.hello.node, hello.node);
    EXPECT_EQ(verified.hello.node_key, hello.node_key);
    EXPECT_EQ(verified.hello.versions, hello.versions);
    EXPECT_EQ(verified.hello.time, hello.time);
}

TEST_F(HelloTest, HasExactlyTheDocumentedFields) {
    std::vector<std::string> names;
    auto payload = Json::parse(inner());
    for (const auto& item : payload.items())
        names.push_back(item.key());
    EXPECT_THAT(names, testing::UnorderedElementsAre("v", "type", "role", "exporter", "nonce", "hive", "node",
                                                     "nodeKey", "versions", "time"));
    EXPECT_EQ(payload["role"], "operator");
}

TEST_F(HelloTest, OfAnOperatorForThisSessionIsAdmitted) {
    auto verdict = admit_hello(verify_hello(sign_hello(hello, operator_key)), expected);
    EXPECT_TRUE(verdict.admitted) << verdict.message;
    EXPECT_EQ(verdict.code, "");
}

TEST_F(HelloTest, ChoosesTheGreatestVersionThatBothSpeak) {
    const std::pair<std::vector<int>, int> cases[] = {{{1}, 1}, {{1, 2}, 2}, {{2, 3}, 2}, {{2, 1}, 2}};
    for (const auto& [versions, chosen] : cases) {
        hello.versions = versions;
        EXPECT_EQ(admit_hello(verify_hello(sign_hello(hello, operator_key)), expected).version, chosen);
    }
}

TEST_F(HelloTest, RefusesUnlistedOperatorsAndOtherTargets) {
    struct Case {
        const char* name;
        void (*change)(Hello&, SessionExpectation&);
        const char* code;
        const char* said;
    };
    const Case cases[] = {
        {"stranger", [](Hello&, SessionExpectation& e) { e.operators.pop_back(); }, "unknown-operator",
         "is not an operator of this node"},
        {"nobody", [](Hello&, SessionExpectation& e) { e.operators.clear(); }, "unknown-operator",
         "is not an operator"},
        {"exporter", [](Hello& h, SessionExpectation&) { h.exporter[31] ^= 1; }, "other-session", "another connection"},
        {"nonce", [](Hello& h, SessionExpectation&) { h.nonce[0] ^= 0x80; }, "other-session", "another connection"},
        {"hive", [](Hello& h, SessionExpectation&) { h.hive = "other"; }, "other-hive",
         "belongs to the hive demo, not other"},
        {"node", [](Hello& h, SessionExpectation&) { h.node = "beta"; }, "other-node", "this node is alpha, not beta"},
        {"key", [](Hello& h, SessionExpectation&) { h.node_key = ssh::PrivateKey::generate().public_key(); },
         "other-node", "this node's key is SHA256:"},
        {"versions", [](Hello& h, SessionExpectation&) { h.versions = {3, 4}; }, "version",
         "speaks session protocol 3, 4, this agent 1, 2"},
        // An unlisted operator learns nothing else.
        {"stranger at the wrong node",
         [](Hello& h, SessionExpectation& e) {
             e.operators.pop_back();
             h.node = "beta";
         },
         "unknown-operator", ""},
    };
    for (const auto& c : cases) {
        auto other_hello = hello;
        auto other_expected = expected;
        c.change(other_hello, other_expected);
        auto verdict = admit_hello(verify_hello(sign_hello(other_hello, operator_key)), other_expected);
        EXPECT_FALSE(verdict.admitted) << c.name;
        EXPECT_EQ(verdict.code, c.code) << c.name;
        EXPECT_THAT(verdict.message, HasSubstr(c.said)) << c.name;
        EXPECT_EQ(verdict.version, 0) << c.name;
    }
}

TEST_F(HelloTest, DoesNotVerifyIfChangedOrSignedForAnotherPurpose) {
    auto payload = inner();
    auto signature = ssh::sshsig_sign(operator_key, session_namespace, payload);
    EXPECT_NO_THROW(verify_hello(message(payload, signature)));
    for (size_t at = 0; at < payload.size(); ++at) {
        auto flipped = payload;
        flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
        EXPECT_THROW(verify_hello(message(flipped, signature)), ssh::BadSignature) << "byte " << at;
    }
    for (size_t at = 0; at < signature.size(); ++at) {
        auto flipped = signature;
        flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
        EXPECT_THROW(verify_hello(message(payload, flipped)), ssh::BadSignature) << "byte " << at;
    }
    EXPECT_THROW(verify_hello(message(payload, ssh::sshsig_sign(operator_key, "waggle-deployment", payload))),
                 ssh::BadSignature);
}

TEST_F(HelloTest, RefusesAnyOtherForm) {
    struct Case {
        const char* name;
        void (*change)(Json&);
        const char* said;
    };
    const Case cases[] = {
        {"version", [](Json& j) { j["v"] = 2; }, "field \"v\" is 2"},
        {"type", [](Json& j) { j["type"] = "deployment"; }, "field \"type\" is \"deployment\""},
        {"role", [](Json& j) { j["role"] = "reader"; }, "field \"role\" is \"reader\""},
        {"exporter", [](Json& j) { j["exporter"] = to_base64(std::string(31, 'x')); },
         "field \"exporter\" is not 32 bytes"},
        {"nonce", [](Json& j) { j["nonce"] = to_base64(std::string(33, 'x')); }, "field \"nonce\" is longer than 32"},
        {"hive", [](Json& j) { j["hive"] = ""; }, "field \"hive\" is not a name"},
        {"node", [](Json& j) { j["node"] = "a/b"; }, "field \"node\" is not a name"},
        {"nodeKey", [](Json& j) { j["nodeKey"] = "ssh-rsa AAAA"; },
         "field \"nodeKey\" cannot be used: this is an RSA key"},
        {"no versions", [](Json& j) { j["versions"] = Json::array(); }, "field \"versions\" is empty"},
        {"versions", [](Json& j) { j["versions"] = {"1"}; }, "field \"versions\" has an item"},
        {"negative version", [](Json& j) { j["versions"] = {-1}; }, "field \"versions\" has an item"},
        {"huge version", [](Json& j) { j["versions"] = {18446744073709551615U}; }, "field \"versions\" has an item"},
        {"too many versions", [](Json& j) { j["versions"] = std::vector<int>(17, 1); },
         "field \"versions\" has more than 16"},
        {"time", [](Json& j) { j["time"] = "now"; }, "field \"time\" is not a time"},
        {"no time", [](Json& j) { j.erase("time"); }, "field \"time\" is missing"},
        {"another field", [](Json& j) { j["colour"] = 1; }, "unknown field \"colour\""},
    };
    for (const auto& c : cases)
        EXPECT_THAT(complaint([&] { verify_hello(changed(c.change)); }), HasSubstr(c.said)) << c.name;
    for (std::string text :
         {"", "{}", "[]", "{\"payload\":\"\",\"signature\":1}", "{\"payload\":\"*\",\"signature\":\"\"}"})
        EXPECT_NE(complaint([&] { verify_hello(text); }), "") << text;
    EXPECT_THROW(verify_hello("{\"payload\":\"\",\"signature\":\"\"}"), ssh::BadSignature);
    EXPECT_THAT(complaint([&] { verify_hello(std::string(max_hello_bytes + 1, ' ')); }), HasSubstr("longer than 4096"));
}

TEST_F(HelloTest, IsRefusedIfTruncatedAnywhere) {
    auto message = sign_hello(hello, operator_key);
    for (size_t length = 0; length < message.size(); ++length)
        EXPECT_NE(complaint([&] { verify_hello(message.substr(0, length)); }), "") << length;
}

TEST(Challenge, IsReadAsItWasWritten) {
    auto nonce = random_bytes<32>();
    EXPECT_EQ(parse_challenge(to_message(nonce)), nonce);
}

TEST(Challenge, RefusesAnyOtherForm) {
    auto good = to_message(random_bytes<32>());
    for (size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(complaint([&] { parse_challenge(good.substr(0, length)); }), "") << length;
    EXPECT_THAT(complaint([] { parse_challenge(R"({"v":2,"type":"challenge","nonce":""})"); }),
                HasSubstr("\"v\" is 2"));
    EXPECT_THAT(complaint([] { parse_challenge(R"({"v":1,"type":"hello","nonce":""})"); }), HasSubstr("\"type\""));
    EXPECT_THAT(complaint([] { parse_challenge(R"({"v":1,"type":"challenge","nonce":"AAAA"})"); }),
                HasSubstr("\"nonce\""));
    EXPECT_THAT(complaint([&] { parse_challenge(good.substr(0, good.size() - 1) + ",\"x\":1}"); }),
                HasSubstr("unknown field"));
    EXPECT_THAT(complaint([] { parse_challenge(std::string(max_hello_bytes + 1, ' ')); }),
                HasSubstr("longer than 4096"));
}

} // namespace
} // namespace waggle::protocol
