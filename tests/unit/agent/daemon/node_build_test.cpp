#include "agent/daemon/session.hpp"
#include "shared/protocol/build_request.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <future>
#include <thread>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;
using protocol::Admitted;
using protocol::Built;
using protocol::NotBuilt;
using protocol::Refused;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto build_patience = 10s;

// What the build needs: sources ← system.drv.
TestClosure test_derivations() {
    TestClosure closure = test_closure();
    closure.list.back().path = test_path('d', "system.drv");
    closure.text = protocol::to_text(closure.list);
    closure.summary = protocol::summarize(closure.text, closure.list);
    return closure;
}

// A session in which a trigger asks for a build.
class Asker {
public:
    Asker(const Environment& environment, Deployments& deployments, const protocol::Exporter& exporter)
        : connection_(to_agent_, from_agent_), thread_([this, &environment, &deployments, exporter] {
              serve_session({.connection = connection_, .hello_time = test_time, .exporter = exporter}, environment,
                            deployments, {.feed_stall = 10s});
          }) {
        next<protocol::Facts>();
    }
    ~Asker() {
        to_agent_->close();
        thread_.join();
    }

    void ask(const protocol::SignedDocument& document, const std::string& text) {
        say(protocol::Build{document});
        to_agent_->push(protocol::encode_closure_list_piece(text));
    }
    void say(const protocol::Message& message) { to_agent_->push(protocol::encode(message)); }
    void lose() { connection_.abort(); }

    // Returns the next message of this type. Until then, it serves wanted NARs and collects the build output.
    template <class Awaited>
    Awaited next(const TestClosure* serve = nullptr) {
        for (;;) {
            const auto bytes = from_agent_->pop(deadline_in(build_patience));
            if (!bytes)
                throw Error("the agent closed the session");
            const auto incoming = protocol::decode(*bytes);
            if (const auto* piece = std::get_if<protocol::ClosureListPiece>(&incoming)) {
                list += piece->text;
                continue;
            }
            const auto& message = std::get<protocol::Message>(incoming);
            if (const auto* awaited = std::get_if<Awaited>(&message))
                return *awaited;
            if (const auto* line = std::get_if<protocol::BuildLine>(&message))
                lines.push_back(line->text);
            else if (const auto* moved = std::get_if<protocol::BuildProgress>(&message))
                last_progress = *moved;
            else if (const auto* want = std::get_if<protocol::Want>(&message); want != nullptr && serve != nullptr)
                for (const auto index : want->indices)
                    to_agent_->push(protocol::encode_nar_piece(index, as_bytes(serve->nars[index])));
            else if (!std::holds_alternative<Admitted>(message))
                throw Error("another message than awaited: " + *bytes);
        }
    }

    std::vector<std::string> lines;
    protocol::BuildProgress last_progress;
    std::string list;

private:
    std::shared_ptr<MessageQueue> to_agent_ = std::make_shared<MessageQueue>();
    std::shared_ptr<MessageQueue> from_agent_ = std::make_shared<MessageQueue>();
    FakeConnection connection_;
    std::thread thread_;
};

class BuildOnNode : public testing::Test {
protected:
    BuildOnNode() {
        spdlog::set_level(spdlog::level::off);
        derivations.nars[1].resize(1000); // all of them fit one piece
        derivations.list[1].nar_size = derivations.nars[1].size();
        derivations.list[1].nar_hash = sha256(derivations.nars[1]);
        derivations.text = protocol::to_text(derivations.list);
        derivations.summary = protocol::summarize(derivations.text, derivations.list);
        content.build = [this](const auto& drv, const auto& options) {
            built.push_back(drv);
            options.on_line("building it");
            succeed();
        };
    }

    void succeed() {
        content.valid.emplace(
            toplevel, nix::PathInfo{.path = toplevel, .nar_hash = {}, .nar_size = 10, .references = {}, .deriver = {}});
    }
    // Simulates a silent builder that runs until it is interrupted.
    void never_end() {
        content.build = [this](const auto&, const nix::BuildOptions& options) {
            began.set_value();
            pollfd fd{.fd = options.interrupt.fd(), .events = POLLIN, .revents = 0};
            ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(build_patience).count()));
            options.interrupt.check();
            FAIL() << "nobody gave it up";
        };
    }

    protocol::SignedDocument request(const std::function<void(protocol::BuildRequest&)>& change = {}) {
        protocol::BuildRequest request{.hive = "demo",
                                       .node = "alpha",
                                       .node_keys = {node_key.public_key()},
                                       .system = "x86_64-linux",
                                       .drv = derivations.toplevel(),
                                       .toplevel = toplevel,
                                       .derivations = derivations.summary,
                                       .exporter = exporter};
        if (change)
            change(request);
        return protocol::sign(request, operator_key);
    }

    TemporaryFolder folder;
    TestClosure derivations = test_derivations();
    nix::StorePath toplevel = test_path('b', "system");
    protocol::Exporter exporter{1, 2, 3};
    ssh::PrivateKey operator_key = ssh::PrivateKey::generate();
    ssh::PrivateKey colleague = ssh::PrivateKey::generate();
    ssh::PrivateKey node_key = ssh::PrivateKey::generate();
    std::promise<void> began;
    std::vector<nix::StorePath> built;
    FakeStoreContent content;
    FakeHost host;
    FakeUnits units{folder.path()};
    StateKeeper state{folder.path()};
    Archive archive{folder.path()};
    Environment environment{.self = {"demo", "alpha", "x86_64-linux", node_key.public_key()},
                            .configured = {operator_key.public_key(), colleague.public_key()},
                            .host = host,
                            .units = units,
                            .state = state,
                            .archive = archive,
                            .open_store = [this](std::chrono::milliseconds) -> std::unique_ptr<NodeStore> {
                                if (content.away)
                                    throw Error("connection refused");
                                return std::make_unique<FakeStore>(content);
                            },
                            .store_timeout = std::chrono::seconds(10),
                            .clock = [] { return test_time; },
                            .state_dir = folder.path()};
    Deployments deployments{environment, [] {}};
};

TEST_F(BuildOnNode, FetchesMissingPathsBuildsAndReportsItsClosure) {
    content.valid.emplace(derivations.list[0].path, protocol::path_info(derivations.list, 0));
    Asker asker(environment, deployments, exporter);
    const auto document = request();
    asker.ask(document, derivations.text);
    const auto answer = asker.next<Built>(&derivations);
    EXPECT_EQ(answer.id, document.id());
    EXPECT_THAT(built, ElementsAre(derivations.toplevel()));
    EXPECT_THAT(asker.lines, ElementsAre("building it"));
    EXPECT_EQ(asker.last_progress.paths_done, 2u);
    EXPECT_EQ(content.nars.at(derivations.toplevel()), derivations.nars.back());
    EXPECT_EQ(content.roots.at(folder.path() / "gcroots/build"), toplevel);

    asker.say(protocol::GetHistory{}); // the session remains open; the list arrives before the answer
    asker.next<protocol::History>();
    protocol::ClosureListReader reader(answer.closure, toplevel);
    reader.update(asker.list);
    EXPECT_EQ(reader.finish().front().path, toplevel);
}

TEST_F(BuildOnNode, LeavesTheStateUnchanged) {
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    asker.next<Built>(&derivations);
    EXPECT_FALSE(state.get().last_admitted);
    EXPECT_FALSE(state.get().deployment);
    EXPECT_FALSE(deployments.busy());
}

TEST_F(BuildOnNode, ReportsABuildFailureInNixsWords) {
    content.build = [](const auto&, const auto&) { throw nix::BuildFailed("error: builder for x failed"); };
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    const auto answer = asker.next<NotBuilt>(&derivations);
    EXPECT_EQ(answer.code, "build-failed");
    EXPECT_EQ(answer.message, "error: builder for x failed");
    asker.ask(request(), derivations.text);
    EXPECT_EQ(asker.next<NotBuilt>().code, "build-failed"); // it may be asked again, and nothing is fetched
}

TEST_F(BuildOnNode, ReportsADerivationThatDoesNotProduceTheSystem) {
    content.build = [](const auto&, const auto&) {};
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    EXPECT_THAT(asker.next<NotBuilt>(&derivations).message, HasSubstr("is not in the store"));
    EXPECT_TRUE(content.roots.empty());
}

TEST_F(BuildOnNode, AcceptsOnlyTheSignedListWithTheDerivation) {
    const auto code_for = [&](const protocol::SignedDocument& document, const std::string& list) {
        Asker asker(environment, deployments, exporter);
        asker.ask(document, list);
        return asker.next<NotBuilt>().code;
    };
    std::string changed = derivations.text;
    changed[0] = changed[0] == 'a' ? 'b' : 'a';
    EXPECT_EQ(code_for(request(), changed), "bad-closure-list");
    EXPECT_EQ(code_for(request(), derivations.text + "x"), "bad-closure-list");
    const TestClosure other = test_closure(); // complete, but without the derivation to build
    EXPECT_EQ(code_for(request([&](auto& r) { r.derivations = other.summary; }), other.text), "bad-closure-list");
    EXPECT_TRUE(built.empty());
    EXPECT_TRUE(content.nars.empty());
}

TEST_F(BuildOnNode, RefusesContentThatDiffersFromTheSignedList) {
    TestClosure wrong = derivations;
    wrong.nars.back()[0] ^= 1;
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    EXPECT_EQ(asker.next<NotBuilt>(&wrong).code, "wrong-hash");
    EXPECT_FALSE(content.valid.contains(derivations.toplevel()));
    EXPECT_TRUE(built.empty());
}

TEST_F(BuildOnNode, FailsWhenSpaceIsShort) {
    host.free_bytes = 1000;
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    EXPECT_EQ(asker.next<NotBuilt>().code, "no-space");
}

TEST_F(BuildOnNode, ARequestOfAnotherSessionIsRefused) {
    const auto document = request();
    exporter[0] ^= 1;
    Asker asker(environment, deployments, exporter);
    asker.ask(document, derivations.text);
    EXPECT_EQ(asker.next<Refused>().code, "other-session");
}

TEST_F(BuildOnNode, ReportsThatTheNixDaemonIsAway) {
    content.away = true;
    {
        Asker asker(environment, deployments, exporter);
        asker.ask(request(), derivations.text);
        EXPECT_EQ(asker.next<Refused>().code, "nix-daemon-away");
    }
    content.away = false;
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    asker.next<Built>(&derivations);
}

TEST_F(BuildOnNode, IsCancelledByTheTrigger) {
    never_end();
    Asker asker(environment, deployments, exporter);
    const auto document = request();
    asker.ask(document, derivations.text);
    while (asker.last_progress.paths_done < 3)
        asker.last_progress = asker.next<protocol::BuildProgress>(&derivations);
    began.get_future().wait();
    asker.say(protocol::Cancel{document.id()});
    EXPECT_EQ(asker.next<NotBuilt>().code, "cancelled");
}

TEST_F(BuildOnNode, IsCancelledWhenItsSessionIsLost) {
    never_end();
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    while (asker.last_progress.paths_done < 3)
        asker.last_progress = asker.next<protocol::BuildProgress>(&derivations);
    began.get_future().wait();
    asker.lose(); // the session must end, or this test would not
}

TEST_F(BuildOnNode, RunsOneBuildAtATime) {
    never_end();
    Asker first(environment, deployments, exporter);
    const auto document = request();
    first.ask(document, derivations.text);
    while (first.last_progress.paths_done < 3)
        first.last_progress = first.next<protocol::BuildProgress>(&derivations);
    began.get_future().wait();

    Asker second(environment, deployments, exporter);
    auto payload = protocol::to_payload(protocol::parse_build_request(document.payload));
    second.ask(protocol::sign_payload(payload, protocol::build_namespace, colleague), derivations.text);
    const auto refused = second.next<Refused>();
    EXPECT_EQ(refused.code, "busy");
    EXPECT_THAT(refused.message, AllOf(HasSubstr(operator_key.public_key().fingerprint()), HasSubstr("system.drv")));

    // The same request in a second session replaces the first: the operator must have lost that session.
    content.build = [this](const auto&, const auto&) { succeed(); };
    second.ask(document, derivations.text);
    EXPECT_EQ(first.next<NotBuilt>().code, "cancelled");
    second.next<Built>();
}

TEST_F(BuildOnNode, ALongLogIsSentUpToItsCap) {
    content.build = [this](const auto&, const auto& options) {
        for (int i = 0; i < 20'100; ++i)
            options.on_line("on and on");
        succeed();
    };
    Asker asker(environment, deployments, exporter);
    asker.ask(request(), derivations.text);
    asker.next<Built>(&derivations);
    ASSERT_EQ(asker.lines.size(), 20'001u);
    EXPECT_THAT(asker.lines.back(), HasSubstr("nix log"));
}

} // namespace
} // namespace waggle::agent
