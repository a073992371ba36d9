#include "trigger/deploy/deploy_node.hpp"

#include "shared/protocol/signed_document.hpp"
#include "trigger/deploy/build_on_target.hpp"
#include "trigger/deploy/conversation.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

using Clock = std::chrono::steady_clock;

// One node's deployment, over as many connections as it takes.
class NodeDeployment {
public:
    NodeDeployment(const DeployedNode& node, const Intent& intent, const Surroundings& surroundings)
        : node_(node), intent_(intent), surroundings_(surroundings) {}

    NodeReport run() {
        const Clock::time_point began = Clock::now();
        try {
            deploy();
        } catch (...) {
            end_by_exception();
        }
        report_.node = node_.name;
        report_.elapsed = Clock::now() - began;
        report_.log = std::move(progress_.log);
        report_.bytes_sent = progress_.bytes_sent;
        if (progress_.sent_at) {
            const auto activation = progress_.activation_began.value_or(Clock::now());
            report_.fetch_time = activation - *progress_.sent_at;
            report_.activate_time = Clock::now() - activation;
        }
        return std::move(report_);
    }

private:
    void end(Outcome outcome, std::string code, std::string message) {
        report_.outcome = outcome;
        report_.code = std::move(code);
        report_.message = std::move(message);
    }

    Session open() {
        return open_session(surroundings_.connect, node_, surroundings_.identity, surroundings_.interrupt);
    }

    void deploy() {
        if (const auto reason = objection(node_, intent_))
            return end(Outcome::refused, "no-agent", *reason);

        if (surroundings_.secrets) {
            surroundings_.reporter.step(node_.name, Step::reading_secrets);
            secrets_ = surroundings_.secrets();
            secrets_->bundle.hive = node_.hive;
            secrets_->bundle.node = node_.node;
        }
        surroundings_.reporter.step(node_.name, Step::connecting);
        const Clock::time_point began = Clock::now();
        Session session = open();
        report_.connect_time = Clock::now() - began;
        if (const auto reason = objection(node_, session.facts, now()))
            return end(Outcome::refused, "other-system", *reason);

        if (const auto reason = unknown_profile(session.facts)) {
            if (!intent_.replace_unknown_profiles)
                return end(Outcome::refused, "unknown-profile",
                           *reason + "; say --force-replace-unknown-profiles to replace it");
            surroundings_.reporter.line(node_.name, *reason + ": replacing it");
        }
        if (secrets_ && secrets_->empty() && !session.facts.holds_secrets)
            secrets_.reset(); // there is nothing to replace
        if (!secrets_ && intent_.goal == protocol::Goal::upload_keys) {
            session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
            return end(Outcome::unchanged, "", "");
        }

        const std::shared_ptr<const Closure> closure = closure_for(session);
        if (intent_.goal == protocol::Goal::build) {
            session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
            return end(Outcome::ok, "", "");
        }
        surroundings_.reporter.step(node_.name, Step::deploying);
        protocol::SignedDocument document = sign_document(session, *closure);

        // A connection that breaks is made again. What the agent has fetched by then stays: it gives up a fetch whose
        // session is lost, and a new deployment goes on where that one was.
        for (;;) {
            try {
                const Conversation::Ending ending = converse(session, document, *closure);
                const auto* result = std::get_if<protocol::Result>(&ending);
                if (!result || !is_worth_another(*result)) {
                    session.link.connection->finish(deadline_in(std::chrono::seconds(1)));
                    return std::visit([this](const auto& known) { on(known); }, ending);
                }
                session.facts.last_sequence = std::max(session.facts.last_sequence, sequence_);
                session.facts.last_admitted = document.id();
                document = sign_document(session, *closure);
                progress_.everything_was_sent = false;
            } catch (const net::ConnectionLost& lost) {
                loss_ = lost.what();
                session = reopen();
            }
        }
    }

    std::shared_ptr<const Closure> closure_for(Session& session) {
        if (!surroundings_.toplevel)
            return std::make_shared<const Closure>();
        if (!surroundings_.build_there)
            return surroundings_.closure();
        for (;;) {
            try {
                surroundings_.reporter.step(node_.name, Step::building);
                return build_on_target(node_, session, surroundings_, progress_);
            } catch (const net::ConnectionLost& lost) {
                loss_ = lost.what();
                session = reopen(); // what was built by then stays
            }
        }
    }

    // Of a node that shall not lose what somebody else has deployed there.
    std::optional<std::string> unknown_profile(const protocol::Facts& facts) const {
        if (node_.deployment.replace_unknown_profiles || !protocol::activates(intent_.goal) || !surroundings_.knows)
            return std::nullopt;
        const auto system = facts.profile ? facts.profile : facts.current_system;
        if (!system || surroundings_.knows(nix::StorePath::parse_absolute(*system)))
            return std::nullopt;
        return fmt::format("the node's system, {}, is not in this machine's store, so somebody else has deployed it "
                           "(deployment.replaceUnknownProfiles is false)",
                           *system);
    }

    protocol::SignedDocument sign_document(const Session& session, const Closure& closure) {
        const Time time = now();
        Cargo cargo;
        if (surroundings_.toplevel)
            cargo = {.toplevel = surroundings_.toplevel, .closure = closure.summary};
        sealed_.clear();
        if (secrets_) { // sealed anew each time, for the bundle repeats the sequence
            sealed_ = seal_bundle(*secrets_, next_sequence(session.facts, time), session.link.node_key);
            cargo.secrets = protocol::replace_by(as_text(sealed_));
        }
        protocol::Deployment deployment =
            make_deployment(node_, intent_, session.facts, session.link.node_key, cargo, time);
        deployment.boot_files = closure.boot_files;
        sequence_ = deployment.sequence;
        return protocol::sign(deployment, surroundings_.identity);
    }

    Conversation::Ending converse(Session& session, const protocol::SignedDocument& document, const Closure& closure) {
        Conversation conversation(node_.name, session, document, {closure, as_text(sealed_)}, surroundings_, progress_);
        const protocol::Facts& facts = session.facts;
        if (facts.last_admitted != document.id())
            conversation.deploy();
        else
            conversation.attach(facts.running && is_before_activation(facts.running->state));
        if (facts.awaits_confirmation == document.id())
            conversation.confirm();
        return conversation.follow();
    }

    static bool is_before_activation(protocol::DeploymentState state) {
        return state == protocol::DeploymentState::received || state == protocol::DeploymentState::fetching;
    }

    // Whether the agent gave the deployment up because it had lost us, and we are back.
    bool is_worth_another(const protocol::Result& result) {
        const bool given_up =
            result.code == "session-lost" || result.code == "agent-restarted" || result.code == "cancelled";
        return given_up && (loss_ || result.code != "cancelled") && !surroundings_.interrupt.requested() &&
               ++reconnects_ <= surroundings_.patience.reconnects_before_activation;
    }

    void on(const protocol::Result& result) {
        end(result.outcome, result.code, result.message);
        report_.generation = result.generation;
        if (surroundings_.interrupt.requested() && result.outcome == Outcome::failed_before_activation)
            report_.outcome = Outcome::interrupted;
    }

    void on(const LeftAlone& left) {
        if (left.activation_began)
            end(Outcome::unknown, "interrupted",
                fmt::format(
                    "its activation had begun ({}) and goes on to its end on the node: `waggle status --on {}` shows "
                    "what runs there",
                    protocol::to_string(progress_.state), node_.name));
        else
            end(Outcome::interrupted, "interrupted",
                fmt::format("stopped while it was {}; nothing was changed but verified paths in its store",
                            protocol::to_string(progress_.state)));
    }

    // Whether the deployment may be past the point from which it goes on without us.
    bool may_have_begun() const {
        const bool changes_the_node = protocol::activates(intent_.goal) || intent_.goal == protocol::Goal::upload_keys;
        return progress_.activation_seen || (changes_the_node && progress_.everything_was_sent);
    }

    // The session after a lost one. Throws what the last try threw.
    Session reopen() {
        const bool patient = may_have_begun();
        // A node that cannot be reached any more goes back by itself: the true end is heard after that.
        const auto patience = surroundings_.patience;
        const Deadline give_up = deadline_in(
            std::max(patience.reattach, node_.deployment.rollback.confirm_timeout + patience.after_rollback) +
            (intent_.reboot == protocol::Reboot::never ? std::chrono::milliseconds(0) : patience.reboot));
        if (++losses_ > patience.reconnects || (!patient && ++reconnects_ > patience.reconnects_before_activation))
            throw Error(fmt::format("the connection broke again and again: {}", *loss_));
        const bool expected = progress_.state == protocol::DeploymentState::activated; // the agent is restarted now
        surroundings_.reporter.step(node_.name, expected ? Step::confirming : Step::reconnecting);
        if (!expected)
            surroundings_.reporter.line(node_.name, *loss_);
        for (auto wait = surroundings_.patience.backoff;; wait = std::min(wait * 2, std::chrono::milliseconds(5000))) {
            try {
                pause(wait, surroundings_.interrupt);
                return open();
            } catch (const Interrupted&) {
                throw;
            } catch (const net::WrongHostKey&) {
                throw;
            } catch (const RefusedByNode& refused) {
                // All its places are taken, perhaps by our own lost sessions: one ends soon. Anything else is final.
                if (refused.code() != "busy" || !patient || Clock::now() + wait >= give_up)
                    throw;
            } catch (const Error& error) {
                if (!patient || Clock::now() + wait >= give_up)
                    throw Error(fmt::format("{}; then it could not be reached again: {}", *loss_, error.what()));
            }
        }
    }

    // Called in a catch block.
    void end_by_exception() {
        std::string what;
        try {
            throw;
        } catch (const std::exception& error) {
            what = error.what();
        }
        if (progress_.sent_at && may_have_begun())
            return end(
                Outcome::unknown, "lost",
                fmt::format("{}\nIts activation {}, and goes on to its end on the node: `waggle status --on {}` shows "
                            "what runs there once it can be reached",
                            what, progress_.activation_seen ? "had begun" : "may have begun", node_.name));
        if (surroundings_.interrupt.requested())
            return end(Outcome::interrupted, "interrupted",
                       progress_.sent_at || progress_.asked_to_build
                           ? "stopped; nothing was changed but verified paths in its store"
                           : "stopped before anything was sent to it");
        try {
            throw;
        } catch (const SecretNotRead&) {
            end(Outcome::hive_error, "secret-not-read", what);
        } catch (const NotBuiltThere& reason) {
            end(reason.code() == "build-failed" ? Outcome::hive_error : Outcome::failed_before_activation,
                reason.code(), what);
        } catch (const RefusedByNode& refused) {
            end(Outcome::refused, refused.code(), what);
        } catch (const net::WrongHostKey&) {
            end(Outcome::refused, "wrong-host-key", what);
        } catch (const net::Unreachable&) {
            end(Outcome::unreachable, "unreachable", what);
        } catch (const std::exception&) {
            end(Outcome::failed_before_activation, "failed", what);
        }
    }

    const DeployedNode& node_;
    const Intent& intent_;
    const Surroundings& surroundings_;
    DeploymentProgress progress_;
    std::optional<NodeSecrets> secrets_; // nullopt: the node keeps those it has
    Bytes sealed_;                       // the secrets, for the document that was signed last
    NodeReport report_;
    std::int64_t sequence_ = 0;       // of the document that was signed last
    std::optional<std::string> loss_; // why the last connection broke
    int reconnects_ = 0;              // before the activation
    int losses_ = 0;
};

} // namespace

NodeReport deploy_node(const DeployedNode& node, const Intent& intent, const Surroundings& surroundings) noexcept {
    return NodeDeployment(node, intent, surroundings).run();
}

} // namespace waggle::trigger
