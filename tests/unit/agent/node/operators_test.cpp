#include "agent/console/console.hpp"
#include "agent/daemon/admission.hpp"
#include "agent/node/config.hpp"
#include "agent/node/operators.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using Keys = std::vector<ssh::PublicKey>;
using testing::HasSubstr;

ssh::PublicKey key(std::uint8_t number) {
    std::array<std::uint8_t, 32> raw{};
    raw[0] = number;
    return ssh::PublicKey(raw);
}
const auto alice = key(1), bob = key(2), carol = key(3);

TEST(Operators, AreTheConfiguredOnesUntilSomethingIsDeployed) {
    EXPECT_EQ(operators_of({}, Keys{alice, bob}).current, (Keys{alice, bob}));
}

TEST(Operators, AreThoseOfTheCommittedNotTheRunningConfiguration) {
    State state;
    state.operators = OperatorList{.current = {alice}, .removed = {}};
    EXPECT_EQ(operators_of(state, Keys{alice, bob}).current, Keys{alice}) << "an older generation was booted";
    DeploymentRecord record;
    record.next_operators = OperatorList{.current = {alice, carol}, .removed = {}};
    record.state = DeploymentState::activated;
    state.deployment = record;
    EXPECT_EQ(operators_of(state, {}).current, Keys{alice}) << "not yet committed";
    state.deployment->state = DeploymentState::committed;
    EXPECT_EQ(operators_of(state, {}).current, (Keys{alice, carol}));
    state.deployment->state = DeploymentState::rolled_back;
    EXPECT_EQ(operators_of(state, {}).current, Keys{alice});
}

TEST(Operators, RemovedOnesStayRemovedWhenAnOlderGenerationIsDeployed) {
    const OperatorList first{.current = {alice, bob}, .removed = {}};
    const auto second = operators_after_commit(first, Keys{alice}, false);
    EXPECT_EQ(second.current, Keys{alice});
    EXPECT_EQ(second.removed, Keys{bob});
    const auto back = operators_after_commit(second, Keys{alice, bob}, true);
    EXPECT_EQ(back.current, Keys{alice});
    EXPECT_EQ(back.removed, Keys{bob});
    const auto again = operators_after_commit(back, Keys{alice, bob}, false);
    EXPECT_EQ(again.current, (Keys{alice, bob})) << "a new configuration names bob again";
    EXPECT_EQ(again.removed, Keys{});
}

TEST(Operators, AdoptReplacesTheOperators) {
    const OperatorList before{.current = {alice, bob}, .removed = {carol}};
    const auto after = adopt(before, Keys{carol});
    EXPECT_EQ(after.current, Keys{carol});
    EXPECT_EQ(after.removed, (Keys{alice, bob}));
}

TEST(Operators, TheOldestRemovedOnesAreForgottenFirst) {
    OperatorList list;
    for (int i = 0; i < 600; ++i) {
        std::array<std::uint8_t, 32> raw{};
        raw[0] = static_cast<std::uint8_t>(i);
        raw[1] = static_cast<std::uint8_t>(i >> 8);
        list = operators_after_commit(list, Keys{ssh::PublicKey(raw)}, false);
    }
    EXPECT_EQ(list.removed.size(), 512u);
    EXPECT_EQ(list.removed.back().raw()[0], 598 & 0xff);
}

TEST(Operators, AreReadFromAFileLikeAuthorizedKeys) {
    const auto text = "# the new laptop\r\n\n  " + alice.to_string() + " alice@laptop\r\n" + bob.to_string();
    EXPECT_EQ(parse_operator_lines(text, "keys"), (Keys{alice, bob}));
}

TEST(Operators, AFileThatIsNotAListOfKeysIsRefusedWithTheLine) {
    const std::pair<std::string, std::string> cases[] = {
        {"", "keys has no key"},
        {"# nobody\n", "keys has no key"},
        {alice.to_string() + "\nssh-rsa AAAAB3NzaC1yc2EAAAADAQAB x\n", "keys, line 2: "},
        {"restrict " + alice.to_string(), "keys, line 1: "},
    };
    for (const auto& [text, sentence] : cases) {
        try {
            parse_operator_lines(text, "keys");
            ADD_FAILURE() << text;
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr(sentence));
        }
    }
}

// What `waggle-agent adopt` does, on a node whose state is in a folder.
class Adopt : public testing::Test {
protected:
    Adopt() {
        config_ = folder_.path() / "agent.json";
        write_file_atomically(
            config_,
            R"({"v":1,"hive":"demo","node":"alpha","system":"x86_64-linux","listen":["::"],"port":9244,)"
            R"("identityFile":"/etc/key","generateIdentity":false,"settings":{},"stateDir":")" +
                folder_.path().string() + R"(","operators":[")" + bob.to_string() + "\"]}",
            0600);
    }

    void adopt_keys(const std::string& text) {
        write_file_atomically(folder_.path() / "keys", text, 0600);
        adopt_at_console(folder_.path() / "keys", config_, folder_.path());
    }
    OperatorList operators() const { return operators_of(StateKeeper(folder_.path()).get(), Keys{bob}); }

    TemporaryFolder folder_;
    std::filesystem::path config_;
};

TEST_F(Adopt, TakesTheKeysOfAFile) {
    adopt_keys(alice.to_string());
    EXPECT_EQ(operators().current, Keys{alice});
    EXPECT_EQ(operators().removed, Keys{bob});
}

TEST_F(Adopt, UsesTheRunningConfigurationWithoutAFile) {
    adopt_keys(alice.to_string());
    adopt_at_console(std::nullopt, config_, folder_.path());
    EXPECT_EQ(operators().current, Keys{bob});
    EXPECT_EQ(operators().removed, Keys{alice});
}

// Otherwise, a removed operator could still change the list, with a deployment begun before the removal.
TEST_F(Adopt, TakesPrecedenceOverAPendingDeployment) {
    StateKeeper(folder_.path()).change([](State& state) {
        state.deployment.emplace();
        state.deployment->state = DeploymentState::activated;
        state.deployment->next_operators = OperatorList{.current = {carol}, .removed = {}};
    });
    adopt_keys(alice.to_string());
    StateKeeper(folder_.path()).change([](State& state) { state.deployment->state = DeploymentState::committed; });
    EXPECT_EQ(operators().current, Keys{alice});
}

TEST_F(Adopt, ChangesNothingWhenTheFileIsNotAListOfKeys) {
    EXPECT_THROW(adopt_keys("nonsense"), Error);
    EXPECT_EQ(operators().current, Keys{bob});
}

TEST_F(Adopt, IsRefusedWhenTheStateCannotBeRead) {
    write_file_atomically(StateKeeper::file_in(folder_.path()), "{", 0600);
    EXPECT_THROW(adopt_keys(alice.to_string()), Error);
}

// What the agent reads from a system before it activates the system.
class NextSystem : public testing::Test {
protected:
    NextSystem() { std::filesystem::create_directories(folder_.path() / "etc/systemd/system"); }

    void write_unit(const std::string& text) {
        write_file_atomically(folder_.path() / "etc/systemd/system/waggle-agent.service", text, 0600);
    }
    std::string write_config(const std::string& text) {
        write_file_atomically(folder_.path() / "agent.json", text, 0600);
        return "[Service]\nExecStart=/nix/store/x/bin/waggle-agent daemon --config " +
               (folder_.path() / "agent.json").string() + "\nRestart=always\n";
    }
    std::optional<Keys> operators() const {
        const auto agent = agent_in_system(folder_.path());
        return agent ? std::optional(agent->operators) : std::nullopt;
    }
    std::optional<std::filesystem::path> state_dir() const {
        const auto agent = agent_in_system(folder_.path());
        return agent ? agent->state_dir : std::nullopt;
    }

    TemporaryFolder folder_;
};

TEST_F(NextSystem, HasNoAgentWithoutItsUnit) {
    EXPECT_EQ(operators(), std::nullopt);
    std::filesystem::create_symlink("/dev/null", folder_.path() / "etc/systemd/system/waggle-agent.service");
    EXPECT_EQ(operators(), std::nullopt) << "masked";
}

TEST_F(NextSystem, NamesItsOperators) {
    write_unit(write_config(R"({"v":1,"operators":[")" + alice.to_string() + R"( alice@laptop"]})"));
    EXPECT_EQ(operators(), Keys{alice});
}

TEST_F(NextSystem, NamesItsStateDirectory) {
    EXPECT_EQ(state_dir(), std::nullopt);
    write_unit(write_config(R"({"v":1,"operators":[],"stateDir":"/persist/waggle"})"));
    EXPECT_EQ(state_dir(), "/persist/waggle");
    write_unit(write_config(R"({"v":1,"operators":[]})"));
    EXPECT_EQ(state_dir(), std::nullopt);
}

// A modified unit may start the agent in another way; the system still contains the file.
TEST_F(NextSystem, ReadsTheConfigurationInTheSystemItself) {
    write_unit("[Service]\nExecStart=/root/my-agent\n");
    EXPECT_THROW(operators(), Error);
    write_file_atomically(folder_.path() / "waggle-agent.json", R"({"operators":[")" + bob.to_string() + "\"]}", 0600);
    EXPECT_EQ(operators(), Keys{bob});
}

// A later release may add fields and key types.
TEST_F(NextSystem, MayContainTheConfigurationOfAnotherAgentVersion) {
    write_unit(
        write_config(R"({"v":2,"more":{},"operators":["ssh-mldsa AAAA",{"key":1},")" + bob.to_string() + "\"]}"));
    EXPECT_EQ(operators(), Keys{bob});
}

TEST_F(NextSystem, FailsIfItsConfigurationCannotBeRead) {
    write_unit("ExecStart=waggle-agent daemon --config /not/there\n");
    EXPECT_THROW(operators(), Error);
    write_unit(write_config("{"));
    EXPECT_THROW(operators(), Error);
    write_unit(write_config(R"({"v":1})"));
    EXPECT_THROW(operators(), Error);
}

struct Sense {
    const char* name;
    std::function<void(protocol::Deployment&)> change;
    std::optional<OperatorList> then;
    const char* code; // "" if accepted
};

class SenseOfASystem : public testing::TestWithParam<Sense> {};

TEST_P(SenseOfASystem, Decides) {
    protocol::Deployment deployment;
    GetParam().change(deployment);
    const auto refusal = check_system(deployment, GetParam().then, alice.fingerprint());
    EXPECT_EQ(refusal ? refusal->code : "", GetParam().code);
}

const OperatorList with_alice{.current = {bob, alice}, .removed = {}};
const OperatorList without_alice{.current = {bob}, .removed = {alice}};
const OperatorList nobody{.current = {}, .removed = {bob}};
using D = protocol::Deployment;

INSTANTIATE_TEST_SUITE_P(
    Rows, SenseOfASystem,
    testing::Values(
        Sense{"Good", [](D&) {}, with_alice, ""}, //
        Sense{"WithoutAgent", [](D&) {}, std::nullopt, "no-agent"},
        Sense{"WithoutAgentAsWasSaid", [](D& d) { d.remove_agent = true; }, std::nullopt, ""},
        Sense{"WithoutOperator", [](D&) {}, nobody, "no-operator"},
        Sense{"WithoutOperatorWhateverIsSaid",
              [](D& d) {
                  d.remove_agent = true;
                  d.rollback.enable = false;
              },
              nobody, "no-operator"},
        Sense{"WithoutWhoConfirms", [](D&) {}, without_alice, "no-confirmer"},
        Sense{"WithoutWhoConfirmsATest", [](D& d) { d.goal = protocol::Goal::test; }, without_alice, "no-confirmer"},
        Sense{"WithoutWhoConfirmsAReboot",
              [](D& d) {
                  d.goal = protocol::Goal::boot;
                  d.reboot = protocol::Reboot::always;
              },
              without_alice, "no-confirmer"},
        Sense{"HandedOver", [](D& d) { d.rollback.enable = false; }, without_alice, ""},
        Sense{"SomeBootNeedsNoConfirmation", [](D& d) { d.goal = protocol::Goal::boot; }, without_alice, ""},
        Sense{"DryActivationNeedsNone", [](D& d) { d.goal = protocol::Goal::dry_activate; }, without_alice, ""}),
    [](const auto& param) { return std::string(param.param.name); });

} // namespace
} // namespace waggle::agent
