// How the daemon receives the sealed secrets of a deployment. It cannot open them, so any bytes will do.

#include "agent/secrets/bundle_files.hpp"
#include "tests/unit/agent/session_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

class SessionSecrets : public Session {
protected:
    static std::string sealed(char c, size_t size = 600'000) { return std::string(size, c); }

    protocol::SignedDocument document_with(const std::string& bundle, Goal goal = Goal::upload_keys) {
        return document([&](protocol::Deployment& deployment) {
            deployment.goal = goal;
            deployment.secrets = protocol::replace_by(bundle);
            if (goal == Goal::upload_keys) {
                deployment.toplevel.reset();
                deployment.closure.reset();
            }
        });
    }
    static void send_bundle(TestTrigger& trigger, std::string_view bundle) {
        for (size_t at = 0; at < bundle.size(); at += protocol::data_piece_bytes)
            trigger.send_bundle_piece(bundle.substr(at, protocol::data_piece_bytes));
    }
    // Uploads the bundle; a fake unit then commits the deployment.
    protocol::Result upload(const protocol::SignedDocument& signed_document, std::string_view bundle) {
        units->write({StateEvent::commit, StateEvent::committed}, Ending{});
        TestTrigger trigger(*environment, *deployments);
        trigger.send(protocol::Deploy{signed_document});
        send_bundle(trigger, bundle);
        trigger.next<protocol::Admitted>();
        return trigger.next<protocol::Result>();
    }
    protocol::Result refused_upload(const protocol::SignedDocument& signed_document, std::string_view bundle) {
        TestTrigger trigger(*environment, *deployments);
        trigger.send(protocol::Deploy{signed_document});
        trigger.next<protocol::Admitted>();
        send_bundle(trigger, bundle);
        auto result = trigger.next<protocol::Result>();
        EXPECT_THAT(units->started(), IsEmpty());
        return result;
    }
    std::vector<std::string> kept() const {
        std::vector<std::string> names;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(files().folder(), none))
            names.push_back(entry.path().filename());
        return names;
    }
    BundleFiles files() const { return BundleFiles(folder.path()); }
    static std::string name_of(const protocol::SignedDocument& signed_document) {
        return signed_document.id().to_string() + ".age";
    }
};

TEST_F(SessionSecrets, AreStoredUnchangedWithoutFetchingASystem) {
    const auto bundle = sealed('a');
    const auto signed_document = document_with(bundle);
    EXPECT_EQ(upload(signed_document, bundle).outcome, Outcome::ok);
    const auto record = *state->get().deployment;
    ASSERT_TRUE(record.bundle);
    EXPECT_EQ(*record.bundle, (BundleRef{.id = signed_document.id(),
                                         .sequence = protocol::parse_deployment(signed_document.payload).sequence,
                                         .sha256 = sha256(bundle),
                                         .bytes = bundle.size(),
                                         .hive = "demo",
                                         .node = "alpha"}));
    EXPECT_TRUE(record.secrets_only);
    EXPECT_EQ(files().load(*record.bundle), bundle);
    EXPECT_EQ(fs::status(files().file_of(signed_document.id())).permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(units->started(), (std::vector<std::string>{"arm", "activate"}));
    EXPECT_THAT(content.roots, IsEmpty());
}

TEST_F(SessionSecrets, ArriveBeforeTheClosureList) {
    units->succeed();
    const auto bundle = sealed('a');
    const auto signed_document = document_with(bundle, Goal::switch_);
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Deploy{signed_document});
    send_bundle(trigger, bundle);
    trigger.send_list(closure.text);
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
    EXPECT_EQ(state->get().deployment->bundle->id, signed_document.id());
    EXPECT_FALSE(state->get().deployment->secrets_only);
}

TEST_F(SessionSecrets, KeepOnlyTheLastTwoBundles) {
    const auto first = document_with(sealed('a'));
    const auto second = document_with(sealed('b'));
    const auto third = document_with(sealed('c'));
    upload(first, sealed('a'));
    upload(second, sealed('b'));
    EXPECT_THAT(kept(), UnorderedElementsAre(name_of(first), name_of(second)));
    upload(third, sealed('c'));
    EXPECT_THAT(kept(), UnorderedElementsAre(name_of(second), name_of(third)));
}

TEST_F(SessionSecrets, AnIncompleteUploadLeavesThePreviousBundleInForce) {
    const auto first = document_with(sealed('a'));
    upload(first, sealed('a'));
    const auto second = document_with(sealed('b'));
    {
        TestTrigger trigger(*environment, *deployments);
        trigger.send(protocol::Deploy{second});
        trigger.next<protocol::Admitted>();
        send_bundle(trigger, sealed('b').substr(0, 300'000));
        trigger.close();
    }
    const auto now = state->get();
    EXPECT_EQ(now.deployment->outcome, Outcome::failed_before_activation);
    EXPECT_EQ(now.deployment->code, "session-lost");
    EXPECT_FALSE(now.deployment->bundle);
    ASSERT_TRUE(now.secrets);
    EXPECT_EQ(now.secrets->id, first.id());
    EXPECT_THAT(kept(), UnorderedElementsAre(name_of(first)));
    EXPECT_EQ(files().load(*now.secrets), sealed('a'));
}

TEST_F(SessionSecrets, MissingSecretsEndTheDeployment) {
    SessionLimits limits;
    limits.feed_stall = std::chrono::milliseconds(50);
    TestTrigger trigger(*environment, *deployments, limits);
    trigger.send(protocol::Deploy{document_with(sealed('a'))});
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.code, "session-lost");
    EXPECT_THAT(result.message, HasSubstr("the secrets"));
}

TEST_F(SessionSecrets, AreRefusedIfTheyDifferFromTheSignedBundle) {
    auto changed = sealed('a');
    changed[300'000] = 'b';
    for (const auto& sent : {changed, sealed('a') + "x", sealed('a', 700'000)}) {
        const auto result = refused_upload(document_with(sealed('a')), sent);
        EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
        EXPECT_EQ(result.code, "wrong-secrets") << result.message;
        EXPECT_THAT(kept(), IsEmpty());
    }
}

TEST_F(SessionSecrets, AnotherMessageInTheirPlaceEndsTheDeployment) {
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Deploy{document_with(sealed('a'), Goal::switch_)});
    trigger.next<protocol::Admitted>();
    trigger.send_list(closure.text);
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(result.message, HasSubstr("something other than the secrets"));
}

TEST_F(SessionSecrets, AreRefusedAboveTheSizeLimitBeforeTheUpload) {
    EXPECT_EQ(refusal_of(document([](protocol::Deployment& deployment) {
                  deployment.secrets = protocol::replace_by("x");
                  deployment.secrets.bytes = protocol::max_secret_bundle_bytes + 1;
              })).code,
              "bad-document");
    EXPECT_FALSE(state->get().last_admitted);
}

TEST_F(SessionSecrets, AreRefusedForAnotherNodeHiveOrSequence) {
    upload(document_with(sealed('a')), sealed('a'));
    const auto last = state->get().last_admitted->sequence;
    struct Case {
        std::function<void(protocol::Deployment&)> change;
        const char* code;
    };
    const Case cases[] = {
        {[](auto& d) { d.node = "beta"; }, "other-node"},
        {[](auto& d) { d.hive = "other"; }, "other-hive"},
        {[&](auto& d) { d.sequence = last - 1; }, "replayed"},
    };
    for (const auto& each : cases)
        EXPECT_EQ(refusal_of(document([&](protocol::Deployment& deployment) {
                      deployment.secrets = protocol::replace_by(sealed('b'));
                      each.change(deployment);
                  })).code,
                  each.code);
    EXPECT_EQ(state->get().last_admitted->sequence, last);
}

} // namespace
} // namespace waggle::agent
