#include "shared/base/bytes.hpp"
#include "shared/protocol/signed_document.hpp"
#include "shared/ssh/sshsig.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(SignedDocument, CarriesThePayloadUnchanged) {
    auto key = ssh::PrivateKey::generate();
    auto deployment = sample_deployment();
    auto document = sign(deployment, key);
    EXPECT_EQ(document.payload, to_payload(deployment));
    EXPECT_EQ(document.id().digest, sha256(document.payload));
    EXPECT_THAT(valid_signers(document), ElementsAre(key.public_key()));

    auto read = signed_document_from_json(parse_json(to_json(document).dump(), "document"));
    EXPECT_EQ(read.payload, document.payload);
    EXPECT_EQ(read.signatures, document.signatures);
    EXPECT_EQ(read.id(), document.id());
}

// The signature covers the exact bytes, not their meaning.
TEST(SignedDocument, HasNoSignerIfAnyByteChanged) {
    auto document = sign(sample_deployment(), ssh::PrivateKey::generate());
    auto id = document.id();
    for (size_t at = 0; at < document.payload.size(); ++at) {
        auto flipped = document;
        flipped.payload[at] = static_cast<char>(flipped.payload[at] ^ 1 << at % 8);
        EXPECT_THAT(valid_signers(flipped), IsEmpty()) << "byte " << at;
        EXPECT_NE(flipped.id(), id) << "byte " << at;
    }
    for (auto extra : {" ", "\n", "\t"}) {
        auto longer = document;
        longer.payload += extra;
        EXPECT_THAT(valid_signers(longer), IsEmpty());
    }
}

TEST(SignedDocument, HasNoSignerIfAnyFieldChanged) {
    struct Case {
        const char* field;
        void (*change)(Deployment&);
    };
    const Case cases[] = {
        {"hive", [](Deployment& d) { d.hive = "demo2"; }},
        {"node", [](Deployment& d) { d.node = "beta"; }},
        {"nodeKeys", [](Deployment& d) { d.node_keys.pop_back(); }},
        {"system", [](Deployment& d) { d.system = "aarch64-linux"; }},
        {"goal", [](Deployment& d) { d.goal = Goal::boot; }},
        {"toplevel", [](Deployment& d) { d.toplevel = store_path('b', "nixos-system-alpha"); }},
        {"closure.sha256", [](Deployment& d) { d.closure->sha256[31] ^= 1; }},
        {"closure.bytes", [](Deployment& d) { ++d.closure->bytes; }},
        {"closure.paths", [](Deployment& d) { ++d.closure->paths; }},
        {"secrets", [](Deployment& d) { d.secrets = {}; }},
        {"secrets.sha256", [](Deployment& d) { d.secrets.sha256[0] ^= 1; }},
        {"secrets.bytes", [](Deployment& d) { ++d.secrets.bytes; }},
        {"sequence", [](Deployment& d) { ++d.sequence; }},
        {"parent", [](Deployment& d) { d.parent->digest[0] ^= 1; }},
        {"no parent", [](Deployment& d) { d.parent.reset(); }},
        {"created", [](Deployment& d) { d.created += std::chrono::milliseconds(1); }},
        {"notBefore", [](Deployment& d) { d.not_before += std::chrono::milliseconds(1); }},
        {"expires", [](Deployment& d) { d.expires += std::chrono::milliseconds(1); }},
        {"delivery", [](Deployment& d) { d.delivery = Delivery::session; }},
        {"rollback.enable", [](Deployment& d) { d.rollback.enable = true; }},
        {"rollback.confirmTimeout", [](Deployment& d) { ++d.rollback.confirm_timeout; }},
        {"rollback.activationTimeout", [](Deployment& d) { ++d.rollback.activation_timeout; }},
        {"rollback.onFailedUnits", [](Deployment& d) { d.rollback.keep_on_failed_units = false; }},
        {"reboot", [](Deployment& d) { d.reboot = Reboot::never; }},
        {"removeAgent", [](Deployment& d) { d.remove_agent = false; }},
        {"localContent", [](Deployment& d) { d.local_content = LocalContent::trust_node; }},
        {"retry", [](Deployment& d) { d.retry = false; }},
        {"git.rev", [](Deployment& d) { d.git->rev[0] = 'd'; }},
        {"git.dirty", [](Deployment& d) { d.git->dirty = false; }},
        {"specialisation", [](Deployment& d) { d.specialisation = ""; }},
        {"no specialisation", [](Deployment& d) { d.specialisation.reset(); }},
        {"bootFiles.name", [](Deployment& d) { d.boot_files[0].name = "x"; }},
        {"bootFiles.bytes", [](Deployment& d) { ++d.boot_files[1].bytes; }},
        {"no git", [](Deployment& d) { d.git.reset(); }},
    };
    const auto deployment = sample_deployment();
    const auto document = sign(deployment, ssh::PrivateKey::generate());
    for (const auto& c : cases) {
        auto changed = deployment;
        c.change(changed);
        ASSERT_NE(changed, deployment) << c.field;
        SignedDocument forged{to_payload(changed), document.signatures};
        ASSERT_EQ(parse_deployment(forged.payload), changed) << c.field; // only the signature is wrong
        EXPECT_THAT(valid_signers(forged), IsEmpty()) << c.field;
    }
}

TEST(SignedDocument, CountsOnlyValidSignatures) {
    auto queen = ssh::PrivateKey::generate(), drone = ssh::PrivateKey::generate();
    auto document = sign(sample_deployment(), queen);
    auto broken = document.signatures[0];
    broken.back() = static_cast<char>(broken.back() ^ 1);
    document.signatures = {broken,
                           document.signatures[0],
                           "",
                           "hello",
                           document.signatures[0],
                           ssh::sshsig_sign(drone, "waggle-session", document.payload),
                           ssh::sshsig_sign(drone, deployment_namespace, document.payload + " ")};
    EXPECT_THAT(valid_signers(document), ElementsAre(queen.public_key()));
    document.signatures.push_back(ssh::sshsig_sign(drone, deployment_namespace, document.payload));
    EXPECT_THAT(valid_signers(document), ElementsAre(queen.public_key(), drone.public_key()));
}

TEST(SignedDocument, RefusesAnyOtherForm) {
    const auto good = to_json(sign(sample_deployment(), ssh::PrivateKey::generate()));
    struct Case {
        const char* name;
        void (*change)(Json&);
        const char* said;
    };
    const Case cases[] = {
        {"nothing", [](Json&) {}, ""},
        {"no payload", [](Json& j) { j.erase("payload"); }, "\"payload\" is missing"},
        {"payload", [](Json& j) { j["payload"] = "*"; }, "\"payload\" is not base64"},
        {"payload too long", [](Json& j) { j["payload"] = to_base64(std::string(max_payload_bytes + 1, 'x')); },
         "\"payload\" is longer"},
        {"unsigned", [](Json& j) { j["signatures"] = Json::array(); }, "\"signatures\" is empty"},
        {"no signatures", [](Json& j) { j.erase("signatures"); }, "\"signatures\" is missing"},
        {"nine signatures", [](Json& j) { j["signatures"] = Json::array({"", "", "", "", "", "", "", "", ""}); },
         "more than 8"},
        {"signature", [](Json& j) { j["signatures"][0] = 1; }, "\"signatures\" has an item"},
        {"signature's text", [](Json& j) { j["signatures"][0] = "*"; }, "\"signatures\" has an item"},
        {"signature's length", [](Json& j) { j["signatures"][0] = to_base64(std::string(1025, 'x')); },
         "\"signatures\" has an item"},
        {"another field", [](Json& j) { j["colour"] = 1; }, "unknown field \"colour\""},
        {"array", [](Json& j) { j = Json::array(); }, "not a JSON object"},
    };
    for (const auto& c : cases) {
        auto json = good;
        c.change(json);
        auto said = complaint([&] { signed_document_from_json(json); });
        if (*c.said == '\0')
            EXPECT_EQ(said, "") << c.name;
        else
            EXPECT_THAT(said, HasSubstr(c.said)) << c.name;
    }
}

} // namespace
} // namespace waggle::protocol
