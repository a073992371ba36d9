#include "agent/daemon/admission.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>

#include <functional>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;
using Kind = Admission::Kind;
using protocol::Deployment;

const ssh::PrivateKey& operator_key() {
    static const auto key = ssh::PrivateKey::generate();
    return key;
}
const ssh::PrivateKey& stranger() {
    static const auto key = ssh::PrivateKey::generate();
    return key;
}
const ssh::PublicKey& node_key() {
    static const auto key = ssh::PrivateKey::generate().public_key();
    return key;
}
const std::vector<ssh::PublicKey>& operators() {
    static const std::vector<ssh::PublicKey> keys{operator_key().public_key()};
    return keys;
}

NodeIdentity self() {
    return {"demo", "alpha", "x86_64-linux", node_key()};
}

Deployment good_deployment() {
    return test_deployment(node_key(), test_closure());
}

LastAdmitted earlier() {
    LastAdmitted last;
    last.id = protocol::DeploymentId::parse(std::string(64, '1'));
    last.sequence = unix_ms(test_time - 1h);
    last.created = test_time - 1h;
    last.operator_key = "SHA256:earlier";
    return last;
}

AdmissionContext fresh_node() {
    return {.operators = operators(),
            .condition = StateKeeper::Condition::none,
            .state_problem = "",
            .last_admitted = std::nullopt,
            .running = std::nullopt,
            .own_clock = test_time,
            .session_clock = test_time};
}

AdmissionContext known_node() {
    auto context = fresh_node();
    context.condition = StateKeeper::Condition::known;
    context.last_admitted = earlier();
    return context;
}

Admission admit_signed(const Deployment& deployment, const AdmissionContext& context) {
    return admit(protocol::sign(deployment, operator_key()), self(), context);
}

TEST(Admission, GrantsAGoodDeploymentOnAFreshNode) {
    const auto admission = admit_signed(good_deployment(), fresh_node());
    EXPECT_EQ(admission.kind, Kind::granted) << admission.refusal.message;
    EXPECT_EQ(admission.deployment, good_deployment());
    EXPECT_EQ(admission.operator_key, operator_key().public_key());
}

struct Row {
    const char* name;
    std::function<void(Deployment&, AdmissionContext&)> change;
    std::string code; // "" if granted
};

class AdmissionTable : public testing::TestWithParam<Row> {};

TEST_P(AdmissionTable, Decides) {
    auto deployment = good_deployment();
    deployment.parent = earlier().id;
    auto context = known_node();
    GetParam().change(deployment, context);
    const auto admission = admit_signed(deployment, context);
    EXPECT_EQ(admission.kind == Kind::granted ? "" : admission.refusal.code, GetParam().code)
        << admission.refusal.message;
    EXPECT_EQ(admission.kind == Kind::granted, admission.refusal.message.empty());
}

const std::vector<Row> rows{
    {"Good", [](Deployment&, AdmissionContext&) {}, ""},
    // target
    {"OtherHive", [](Deployment& d, AdmissionContext&) { d.hive = "other"; }, "other-hive"},
    {"OtherNode", [](Deployment& d, AdmissionContext&) { d.node = "beta"; }, "other-node"},
    {"OtherKey", [](Deployment& d, AdmissionContext&) { d.node_keys = {stranger().public_key()}; }, "other-key"},
    {"OneOfItsKeys",
     [](Deployment& d, AdmissionContext&) { d.node_keys.insert(d.node_keys.begin(), stranger().public_key()); }, ""},
    {"OtherSystem", [](Deployment& d, AdmissionContext&) { d.system = "aarch64-linux"; }, "other-system"},
    // time
    {"Expired", [](Deployment&, AdmissionContext& c) { c.session_clock = test_time + 2h; }, "expired"},
    {"ExpiredAtThatVeryMoment", [](Deployment& d, AdmissionContext& c) { c.session_clock = d.expires; }, "expired"},
    {"NodeWhoseClockIsAhead", [](Deployment&, AdmissionContext& c) { c.own_clock = test_time + 3h; }, ""},
    {"NodeWhoseClockIsYearsAhead",
     [](Deployment&, AdmissionContext& c) { c.own_clock = test_time + std::chrono::days(4000); }, ""},
    {"NodeWhoseClockIsBehind", [](Deployment&, AdmissionContext& c) { c.own_clock = test_time - 10min; }, "bad-time"},
    {"NodeWhoseClockIsBehindAndForce",
     [](Deployment& d, AdmissionContext& c) {
         c.own_clock = test_time - 10min;
         d.parent.reset();
     },
     ""},
    {"FreshNodeWhoseClockIsBehind",
     [](Deployment& d, AdmissionContext& c) {
         c = fresh_node();
         c.own_clock = test_time - 10min;
         d.parent.reset();
     },
     "bad-time"},
    {"NodeWhoseClockIsATouchBehind", [](Deployment&, AdmissionContext& c) { c.own_clock = test_time - 4min; }, ""},
    {"NodeThatHasAdmittedWhatTheFutureDated",
     [](Deployment&, AdmissionContext& c) { c.last_admitted->created = test_time + std::chrono::days(700); }, ""},
    {"NodeThatHasAdmittedASequenceOfTheFuture",
     [](Deployment& d, AdmissionContext& c) {
         c.last_admitted->sequence = unix_ms(test_time + std::chrono::days(5000));
         d.sequence = c.last_admitted->sequence + 1;
     },
     ""},
    {"NotYetValid", [](Deployment& d, AdmissionContext&) { d.not_before = test_time + 10min; }, "not-yet-valid"},
    {"SignedAMomentAfterTheHello",
     [](Deployment& d, AdmissionContext&) { d.created = d.not_before = test_time + 50ms; }, ""},
    {"CreatedInTheFuture", [](Deployment& d, AdmissionContext&) { d.created = test_time + 10min; }, "bad-time"},
    {"LaptopWhoseClockIsAhead",
     [](Deployment& d, AdmissionContext& c) {
         d.created = c.session_clock = test_time + 3h;
         d.expires = d.created + 1h;
     },
     "bad-time"},
    {"LaptopWhoseClockIsBehind",
     [](Deployment& d, AdmissionContext& c) {
         d.created = c.session_clock = test_time - 3h;
         d.expires = d.created + 1h;
         d.not_before = d.created;
     },
     ""},
    {"NodeWithAClockAtItsEpoch", [](Deployment&, AdmissionContext& c) { c.own_clock = Time{}; }, ""},
    {"NodeWithAClockBeforeItsRelease",
     [](Deployment&, AdmissionContext& c) {
         c = known_node();
         c.last_admitted->created = Time{};
         c.own_clock = std::chrono::sys_days(std::chrono::year(2026) / 10 / 31);
     },
     ""},
    {"HelloYearsAheadMovesNoSetClock",
     [](Deployment& d, AdmissionContext& c) {
         c.session_clock = test_time + std::chrono::days(4000);
         d.created = c.session_clock;
         d.expires = d.created + 1h;
     },
     "bad-time"},
    // busy
    {"Busy",
     [](Deployment&, AdmissionContext& c) {
         c.running =
             protocol::Running{earlier().id, protocol::DeploymentState::activating, test_time, "SHA256:earlier"};
     },
     "busy"},
    // sequence
    {"SameSequence", [](Deployment& d, AdmissionContext&) { d.sequence = earlier().sequence; }, "replayed"},
    {"OlderSequence", [](Deployment& d, AdmissionContext&) { d.sequence = earlier().sequence - 1; }, "replayed"},
    {"NextSequence", [](Deployment& d, AdmissionContext&) { d.sequence = earlier().sequence + 1; }, ""},
    {"SequenceAYearAhead",
     [](Deployment& d, AdmissionContext&) { d.sequence = unix_ms(test_time + std::chrono::days(365)); }, ""},
    {"SequenceYearsAhead",
     [](Deployment& d, AdmissionContext&) { d.sequence = unix_ms(test_time + std::chrono::days(800)); },
     "sequence-too-far"},
    // parent
    {"OtherParent", [](Deployment& d, AdmissionContext&) { d.parent = protocol::DeploymentId{}; }, "parent"},
    {"Force", [](Deployment& d, AdmissionContext&) { d.parent = std::nullopt; }, ""},
    {"ParentOnAFreshNode", [](Deployment&, AdmissionContext& c) { c = fresh_node(); }, "parent"},
    // form
    {"GoalBuild", [](Deployment& d, AdmissionContext&) { d.goal = protocol::Goal::build; }, "bad-document"},
    // sense
    {"Secrets",
     [](Deployment& d, AdmissionContext&) {
         d.secrets.keep = false;
         d.secrets.bytes = 1;
     },
     ""},
    {"Reboot",
     [](Deployment& d, AdmissionContext&) {
         d.reboot = protocol::Reboot::if_needed;
         d.goal = protocol::Goal::test;
     },
     "reboot-without-boot"},
    {"Channel", [](Deployment& d, AdmissionContext&) { d.delivery = protocol::Delivery::channel; },
     "channel-not-supported"},
    // state
    {"CorruptState",
     [](Deployment& d, AdmissionContext& c) {
         c.condition = StateKeeper::Condition::corrupt;
         c.state_problem = "the state is corrupt; see `waggle-agent status`";
         c.last_admitted.reset();
         d.parent.reset();
     },
     "corrupt-state"},
    {"CorruptStateThatMayBeReset",
     [](Deployment& d, AdmissionContext& c) {
         c.condition = StateKeeper::Condition::corrupt;
         c.state_problem = "the state is corrupt; see `waggle-agent status`";
         c.last_admitted.reset();
         d.parent.reset();
         d.reset_state = true;
     },
     ""},
};

INSTANTIATE_TEST_SUITE_P(Rows, AdmissionTable, testing::ValuesIn(rows),
                         [](const auto& param) { return std::string(param.param.name); });

// Two operators deploy to one node in turn; each by its own clock, `ahead` of the node's.
struct Turn {
    std::chrono::milliseconds ahead;
    bool force = false;
    std::string code = {};
};

struct TurnsRow {
    const char* name;
    std::chrono::milliseconds remembered_ahead; // LastAdmitted::created at first, ahead of the node's clock
    std::vector<Turn> turns;
};

class AdmissionInTurn : public testing::TestWithParam<TurnsRow> {};

TEST_P(AdmissionInTurn, NoOperatorLocksOutTheOther) {
    auto context = known_node();
    context.last_admitted->created = context.own_clock + GetParam().remembered_ahead;
    for (const auto& turn : GetParam().turns) {
        context.own_clock += 1s;
        context.session_clock = context.own_clock + turn.ahead;
        auto deployment = good_deployment();
        deployment.created = context.session_clock;
        deployment.not_before = deployment.created - 5min;
        deployment.expires = deployment.created + 1h;
        deployment.sequence = std::max(unix_ms(deployment.created), context.last_admitted->sequence + 1);
        deployment.parent = turn.force ? std::nullopt : std::optional(context.last_admitted->id);
        const auto admission = admit_signed(deployment, context);
        EXPECT_EQ(admission.kind == Kind::granted ? "" : admission.refusal.code, turn.code)
            << admission.refusal.message;
        if (admission.kind != Kind::granted)
            continue;
        if (turn.force || GetParam().remembered_ahead <= clock_tolerance) {
            EXPECT_LE(admission.created, context.own_clock + clock_tolerance);
        }
        context.last_admitted->sequence = deployment.sequence;
        context.last_admitted->created = admission.created;
    }
}

const std::vector<TurnsRow> turns_rows{
    {"OneAheadThenTheOther", -1h, {{3h, false, "bad-time"}, {0s}, {0s}}},
    {"OneAheadInsistsThenTheOther", -1h, {{3h, true}, {0s}, {3h, false, "bad-time"}, {0s}}},
    {"OneYearsAheadInsistsThenTheOther", -1h, {{std::chrono::days(700), true}, {0s}, {0s}}},
    {"OneATouchAheadThenTheOther", -1h, {{4min}, {0s}, {4min}, {-1min}}},
    {"OneBehindThenTheOther", -1h, {{-3h}, {0s}, {-3h}}},
    {"AfterALockOutByAnOlderAgent", std::chrono::days(700), {{0s}, {10s}, {0s, true}, {3h, false, "bad-time"}, {0s}}},
};

INSTANTIATE_TEST_SUITE_P(Rows, AdmissionInTurn, testing::ValuesIn(turns_rows),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Admission, ExplainsWhoseClockIsAheadAndByHowMuch) {
    auto deployment = good_deployment();
    deployment.parent = earlier().id;
    deployment.created = test_time + 3h;
    deployment.expires = deployment.created + 1h;
    auto context = known_node();
    context.session_clock = deployment.created;
    const auto message = admit_signed(deployment, context).refusal.message;
    EXPECT_THAT(message, testing::HasSubstr("the machine that signed it is 3 h ahead"));
    EXPECT_THAT(message, testing::HasSubstr("--force"));
}

TEST(Admission, RefusesTheSignatureOfAnUnlistedOperator) {
    const auto admission = admit(protocol::sign(good_deployment(), stranger()), self(), fresh_node());
    EXPECT_EQ(admission.kind, Kind::refused);
    EXPECT_EQ(admission.refusal.code, "unknown-operator");
}

TEST(Admission, AcceptsAnOperatorsSignatureAlongsideAnUnlistedOne) {
    auto document = protocol::sign(good_deployment(), stranger());
    document.signatures.push_back(protocol::sign(good_deployment(), operator_key()).signatures.front());
    EXPECT_EQ(admit(document, self(), fresh_node()).kind, Kind::granted);
}

TEST(Admission, RefusesAFlippedBitAnywhereInThePayload) {
    const auto document = protocol::sign(good_deployment(), operator_key());
    for (size_t i = 0; i < document.payload.size(); ++i) {
        auto changed = document;
        changed.payload[i] = static_cast<char>(changed.payload[i] ^ 1);
        const auto admission = admit(changed, self(), fresh_node());
        ASSERT_EQ(admission.kind, Kind::refused) << "byte " << i;
        ASSERT_TRUE(admission.refusal.code == "bad-document" || admission.refusal.code == "bad-signature")
            << admission.refusal.code;
    }
}

TEST(Admission, RefusesADocumentWithoutSignature) {
    auto document = protocol::sign(good_deployment(), operator_key());
    document.signatures.clear();
    EXPECT_EQ(admit(document, self(), fresh_node()).refusal.code, "bad-signature");
}

TEST(Admission, RefusesAnOversizedPayload) {
    protocol::SignedDocument document;
    document.payload.assign(protocol::max_payload_bytes + 1, ' ');
    EXPECT_EQ(admit(document, self(), fresh_node()).refusal.code, "bad-document");
}

TEST(Admission, AttachesToTheLastAdmittedDeploymentAtAnyAge) {
    const auto document = protocol::sign(good_deployment(), operator_key());
    auto context = known_node();
    context.last_admitted = LastAdmitted{document.id(), good_deployment().sequence, test_time, ""};
    context.own_clock = test_time + 48h;
    EXPECT_EQ(admit(document, self(), context).kind, Kind::attach);
}

TEST(Admission, BusyNamesTheOperatorAndTheStartTime) {
    auto context = known_node();
    context.running =
        protocol::Running{earlier().id, protocol::DeploymentState::fetching, test_time, "SHA256:colleague"};
    const auto message = admit_signed(good_deployment(), context).refusal.message;
    EXPECT_NE(message.find("SHA256:colleague"), std::string::npos);
    EXPECT_NE(message.find("2026-11-22T10:00:00"), std::string::npos);
}

constexpr protocol::Exporter this_session{7};

protocol::BuildRequest good_request() {
    return {.hive = "demo",
            .node = "alpha",
            .node_keys = {node_key()},
            .system = "x86_64-linux",
            .drv = test_path('d', "system.drv"),
            .toplevel = test_path('b', "system"),
            .derivations = test_closure().summary,
            .exporter = this_session};
}

struct BuildRow {
    const char* name;
    std::function<void(protocol::BuildRequest&, BuildContext&)> change;
    std::string code; // "" if granted
};

class BuildAdmissionTable : public testing::TestWithParam<BuildRow> {};

TEST_P(BuildAdmissionTable, Decides) {
    auto request = good_request();
    BuildContext context{.operators = operators(), .exporter = this_session, .running = std::nullopt};
    GetParam().change(request, context);
    const auto admission = admit_build(protocol::sign(request, operator_key()), self(), context);
    EXPECT_EQ(admission.refusal.code, GetParam().code) << admission.refusal.message;
    EXPECT_EQ(admission.request.has_value(), GetParam().code.empty());
    EXPECT_EQ(admission.refusal.message.empty(), GetParam().code.empty());
}

using protocol::BuildRequest;
const std::vector<BuildRow> build_rows{
    {"Good", [](BuildRequest&, BuildContext&) {}, ""},
    {"OtherHive", [](BuildRequest& r, BuildContext&) { r.hive = "other"; }, "other-hive"},
    {"OtherNode", [](BuildRequest& r, BuildContext&) { r.node = "beta"; }, "other-node"},
    {"OtherKey", [](BuildRequest& r, BuildContext&) { r.node_keys = {stranger().public_key()}; }, "other-key"},
    {"OtherSystem", [](BuildRequest& r, BuildContext&) { r.system = "aarch64-linux"; }, "other-system"},
    {"OfAnotherSession", [](BuildRequest& r, BuildContext&) { r.exporter[31] ^= 1; }, "other-session"},
    {"OfNoOperator", [](BuildRequest&, BuildContext& c) { c.operators = {}; }, "unknown-operator"},
    {"NoDerivation", [](BuildRequest& r, BuildContext&) { r.drv = r.toplevel; }, "bad-document"},
    {"WhileADeploymentIsUnderWay",
     [](BuildRequest&, BuildContext& c) {
         c.running =
             protocol::Running{earlier().id, protocol::DeploymentState::activating, test_time, "SHA256:earlier"};
     },
     "busy"},
};

INSTANTIATE_TEST_SUITE_P(Rows, BuildAdmissionTable, testing::ValuesIn(build_rows),
                         [](const auto& param) { return std::string(param.param.name); });

// An operator's signature under one kind of document is not valid under the other.
TEST(Admission, BuildRequestsAndDeploymentsAreNotInterchangeable) {
    const BuildContext context{.operators = operators(), .exporter = this_session, .running = std::nullopt};
    EXPECT_EQ(admit(protocol::sign(good_request(), operator_key()), self(), fresh_node()).refusal.code, "bad-document");
    EXPECT_EQ(admit_build(protocol::sign(good_deployment(), operator_key()), self(), context).refusal.code,
              "bad-document");
    const auto crossed =
        protocol::sign_payload(to_payload(good_request()), protocol::deployment_namespace, operator_key());
    EXPECT_EQ(admit_build(crossed, self(), context).refusal.code, "bad-signature");
    const auto crossed_back =
        protocol::sign_payload(to_payload(good_deployment()), protocol::build_namespace, operator_key());
    EXPECT_EQ(admit(crossed_back, self(), fresh_node()).refusal.code, "bad-signature");
}

} // namespace
} // namespace waggle::agent
