// The secrets in the deployment of one node.

#include "shared/protocol/secret_bundle.hpp"
#include "tests/unit/trigger/deploy/deploy_fixture.hpp"
#include "trigger/secrets/read_secrets.hpp"

namespace waggle::trigger {
namespace {

using protocol::Outcome;

class DeploySecrets : public DeployNode {};

protocol::SecretBundle opened(const std::string& sealed, const FakeAgent& agent) {
    std::vector<age::Identity> identities;
    identities.emplace_back(agent.private_key());
    return protocol::parse_secret_bundle(as_text(age::open(sealed, identities)));
}

TEST_F(DeploySecrets, AreSealedForTheNodesKeyAndThisDocument) {
    have_secrets();
    std::string sealed;
    protocol::Deployment deployment;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        sealed = side.sealed_bundle;
        deployment = side.deployment();
        side.send_result(id, Outcome::ok);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
    EXPECT_EQ(deployment.secrets, protocol::replace_by(sealed));
    const auto bundle = opened(sealed, agent);
    EXPECT_NO_THROW(protocol::require_same_target(bundle, "demo", "alpha", deployment.sequence));
    ASSERT_EQ(bundle.secrets.size(), 1u);
    EXPECT_EQ(as_text(bundle.secrets[0].content), "hi");
}

TEST_F(DeploySecrets, AreSealedAgainForAReplacementDocument) {
    have_secrets();
    std::vector<std::string> sealed;
    std::vector<std::int64_t> sequences;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        for (const auto outcome : {Outcome::failed_before_activation, Outcome::ok}) {
            const auto id = side.take_deployment();
            sealed.push_back(side.sealed_bundle);
            sequences.push_back(side.deployment().sequence);
            side.send_result(id, outcome, outcome == Outcome::ok ? "" : "agent-restarted");
        }
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
    ASSERT_EQ(sealed.size(), 2u);
    EXPECT_GT(sequences[1], sequences[0]);
    for (size_t i = 0; i < 2; ++i)
        EXPECT_EQ(opened(sealed[i], agent).sequence, sequences[i]);
    EXPECT_EQ(secrets_read_, 1);
}

TEST_F(DeploySecrets, AreRemovedFromTheNodeIfTheHiveHasNone) {
    secrets_ = [] { return NodeSecrets{}; };
    bool kept = false;
    bool emptied = false;
    FakeAgent none({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        kept = side.deployment().secrets.keep;
        side.send_result(id, Outcome::ok);
    }});
    deploy(none);
    EXPECT_TRUE(kept);
    FakeAgent some({[&](AgentSide& side) {
        auto facts = sample_facts();
        facts.holds_secrets = true;
        side.greet(facts);
        const auto id = side.take_deployment();
        emptied = !side.deployment().secrets.keep;
        side.send_result(id, Outcome::ok);
    }});
    deploy(some);
    EXPECT_TRUE(emptied); // what is no longer in the hive is removed there
}

TEST_F(DeploySecrets, FailBeforeConnectingIfUnreadable) {
    secrets_ = []() -> NodeSecrets { throw SecretNotRead("deployment.keys.db: no"); };
    FakeAgent agent({});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::secret_not_read);
    EXPECT_EQ(report.message, "deployment.keys.db: no");
    EXPECT_EQ(agent.connections(), 0);
}

TEST_F(DeploySecrets, CanBeUploadedAlone) {
    have_secrets();
    intent_.goal = protocol::Goal::upload_keys;
    toplevel_.reset();
    protocol::Deployment deployment;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        deployment = side.deployment();
        side.send_result(id, Outcome::ok);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
    EXPECT_FALSE(deployment.toplevel);
    EXPECT_FALSE(deployment.closure);
    EXPECT_FALSE(deployment.secrets.keep);
}

TEST_F(DeploySecrets, ReportUnchangedIfThereAreNoneToUpload) {
    secrets_ = [] { return NodeSecrets{}; };
    intent_.goal = protocol::Goal::upload_keys;
    toplevel_.reset();
    FakeAgent agent({[&](AgentSide& side) { side.greet(sample_facts()); }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::unchanged);
}

} // namespace
} // namespace waggle::trigger
