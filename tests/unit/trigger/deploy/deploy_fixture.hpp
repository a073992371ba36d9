#pragma once

#include "tests/unit/trigger/fake_agent.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/deploy_context.hpp"
#include "trigger/deploy/deploy_node.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {

// Deploys one node to an agent that behaves as the test specifies.
class DeployNode : public testing::Test {
protected:
    NodeReport deploy(FakeAgent& agent, const EvaluatedNode& node = sample_node("alpha")) {
        return deploy_node(node, intent_,
                           {.connect = agent.connector(),
                            .toplevel = toplevel_,
                            .closure =
                                [this] {
                                    EXPECT_TRUE(made_here_) << "the node was to build it";
                                    return sample_closure();
                                },
                            .nar_reader = nar_reader_,
                            .identity = identity_,
                            .interrupt = interrupt_,
                            .reporter = reporter_,
                            .limits = patience_,
                            .knows = knows_,
                            .secrets = secrets_,
                            .remote_build = remote_build_,
                            .packed_nars = &packed_nars_});
    }

    // One secret, which is read again each time.
    void have_secrets() {
        secrets_ = [this] {
            ++secrets_read_;
            NodeSecrets secrets;
            secrets.bundle.secrets.push_back({{.name = "db", .path = "/run/keys/db"}, {'h', 'i'}});
            return secrets;
        };
    }

    Intent intent_;
    std::optional<nix::StorePath> toplevel_ = sample_node("alpha").toplevel;
    std::function<bool(const nix::StorePath&)> knows_;
    std::function<NodeSecrets()> secrets_;    // none: they are kept
    std::optional<RemoteBuild> remote_build_; // none: this machine has built it
    bool made_here_ = true;
    int secrets_read_ = 0;
    std::function<ReadNar()> nar_reader_ = [] { return sample_nar_reader(); };
    PackedNars packed_nars_{[] { return sample_nar_reader(); }};
    ssh::PrivateKey identity_ = ssh::PrivateKey::generate();
    Interrupt interrupt_;
    RecordingReporter reporter_;
    DeployLimits patience_{.silence = std::chrono::seconds(10),
                           .reattach = std::chrono::seconds(1),
                           .after_rollback = std::chrono::milliseconds(0),
                           .cancel_answer = std::chrono::milliseconds(200),
                           .backoff = std::chrono::milliseconds(1),
                           .reconnects_before_activation = 2};
};

} // namespace waggle::trigger
