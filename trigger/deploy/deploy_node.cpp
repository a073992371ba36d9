#include "trigger/deploy/deploy_node.hpp"

#include "shared/protocol/signed_document.hpp"
#include "trigger/deploy/build_on_target.hpp"
#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/how_it_ended.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t max_answer_lines = 1000; // of a dry activation, for the units that it names

// Deploys one node, over as many connections as it takes.
class NodeDeployment {
public:
    NodeDeployment(const DeployedNode& node, const Intent& intent, const DeployContext& context)
        : node_(node), intent_(intent), context_(context) {
        // A path may be requested once at first, and once after each reconnection.
        progress_.paths_wanted.most = progress_.derivations_wanted.most =
            1 + static_cast<unsigned>(context.limits.reconnects_before_activation);
        if (intent.goal == protocol::Goal::dry_activate)
            progress_.log.keep_lines(max_answer_lines);
    }

    NodeReport run() {
        const Clock::time_point began = Clock::now();
        try {
            deploy();
        } catch (...) {
            end(how_it_ended(ended(), std::current_exception()));
        }
        report_.node = node_.name;
        report_.elapsed = Clock::now() - began;
        if (intent_.goal == protocol::Goal::dry_activate && protocol::exit_code(report_.outcome) == 0)
            report_.answer.assign(progress_.log.lines().begin(), progress_.log.lines().end());
        report_.log = std::move(progress_.log);
        report_.bytes_sent = progress_.bytes_sent;
        report_.nar_bytes_sent = progress_.nar_bytes_sent;
        if (progress_.sent_at) {
            const auto activation = progress_.activation_began.value_or(Clock::now());
            report_.fetch_time = activation - *progress_.sent_at;
            report_.activate_time = Clock::now() - activation;
        }
        return std::move(report_);
    }

private:
    void end(HowItEnded ending) {
        report_.outcome = ending.outcome;
        report_.code = std::move(ending.code);
        report_.message = std::move(ending.message);
    }

    EndedDeployment ended() const {
        return {.node = node_, .intent = intent_, .progress = progress_, .interrupted = context_.interrupt.requested()};
    }

    Session open() {
        return open_session(context_.connect, node_, context_.identity,
                            progress_.activation_seen ? never_ : context_.interrupt);
    }

    Places::Place take_place() { return context_.places ? context_.places->take(context_.interrupt) : nullptr; }

    // Opens a session with the node, and takes a place to work on it. If none is free, closes the session while it
    // waits, because the node would close it.
    Session open_with_place(Places::Place& place) {
        Session session = open();
        if (!context_.places)
            return session;
        place = context_.places->try_take();
        if (place)
            return session;
        session.close();
        context_.reporter.step(node_.name, Step::waiting);
        place = take_place();
        context_.reporter.step(node_.name, Step::connecting);
        return open();
    }

    void deploy() {
        if (const auto reason = reason_to_refuse(node_, intent_))
            return end({Outcome::refused, reason->code, reason->message});

        if (context_.secrets) {
            const Places::Place place = take_place();
            context_.reporter.step(node_.name, Step::reading_secrets);
            secrets_ = context_.secrets();
        }
        context_.reporter.step(node_.name, Step::connecting);
        const Clock::time_point began = Clock::now();
        Places::Place place;
        Session session = open_with_place(place);
        report_.connect_time = Clock::now() - began;
        if (const auto reason = reason_to_refuse(node_, session.facts, now()))
            return end({Outcome::refused, reason->code, reason->message});

        if (const auto warning = clock_warning(session.facts, now()))
            context_.reporter.line(node_.name, *warning);

        if (const auto reason = unknown_profile(session.facts)) {
            if (!intent_.replace_unknown_profiles)
                return end({Outcome::refused, "unknown-profile",
                            *reason + "; to replace it, add --force-replace-unknown-profiles"});
            context_.reporter.line(node_.name, *reason + ": replacing it");
        }
        if (secrets_ && secrets_->empty() && !session.facts.holds_secrets)
            secrets_.reset(); // there is nothing to replace
        if (!secrets_ && intent_.goal == protocol::Goal::upload_keys) {
            session.close();
            return end({Outcome::unchanged});
        }

        const std::shared_ptr<const Closure> closure = closure_for(session);
        if (intent_.goal == protocol::Goal::build) {
            session.close();
            return end({Outcome::ok});
        }
        context_.reporter.step(node_.name, Step::deploying);
        protocol::SignedDocument document = sign_document(session, *closure);

        // A lost connection is opened again. The agent keeps what it has fetched: it cancels a fetch whose session is
        // lost, and a new deployment continues from there.
        for (;;) {
            try {
                Conversation::Ending ending = converse(session, document, *closure);
                if (const auto* left = std::get_if<Detached>(&ending); left && !left->activation_began) {
                    session.link.connection->abort();
                    ending = call_off(document, *closure);
                }
                const auto* result = std::get_if<protocol::Result>(&ending);
                if (!result || !should_retry(*result)) {
                    session.close();
                    if (result)
                        report_.generation = result->generation;
                    return end(std::visit([this](const auto& known) { return how_it_ended(ended(), known); }, ending));
                }
                session.facts.last_sequence = std::max(session.facts.last_sequence, sequence_);
                session.facts.last_admitted = document.id();
                document = sign_document(session, *closure);
                progress_.everything_was_sent = false;
            } catch (const net::ConnectionLost& lost) {
                session = reopen(lost);
            }
        }
    }

    std::shared_ptr<const Closure> closure_for(Session& session) {
        if (!context_.toplevel)
            return std::make_shared<const Closure>();
        if (!context_.remote_build)
            return context_.closure();
        for (;;) {
            try {
                context_.reporter.step(node_.name, Step::building);
                return build_on_target(node_, session, context_, progress_);
            } catch (const net::ConnectionLost& lost) {
                session = reopen(lost); // what was already built is kept
            }
        }
    }

    // Returns a message if another person has deployed the node's system and the hive forbids replacing it; otherwise
    // nullopt.
    std::optional<std::string> unknown_profile(const protocol::Facts& facts) const {
        if (node_.deployment.replace_unknown_profiles || !protocol::activates(intent_.goal) || !context_.knows)
            return std::nullopt;
        const auto system = facts.profile ? facts.profile : facts.current_system;
        if (!system || context_.knows(nix::StorePath::parse_absolute(*system)))
            return std::nullopt;
        return fmt::format("the node's system, {}, is not in this machine's store, so it was deployed from elsewhere "
                           "(deployment.replaceUnknownProfiles is false)",
                           *system);
    }

    protocol::SignedDocument sign_document(const Session& session, const Closure& closure) {
        const Time time = now();
        Contents contents;
        if (context_.toplevel)
            contents = {.toplevel = context_.toplevel, .closure = closure.summary};
        sealed_.clear();
        if (secrets_) { // sealed again each time, because the bundle repeats the sequence
            secrets_->bundle.hive = session.name.hive;
            secrets_->bundle.node = session.name.node;
            sealed_ = seal_bundle(*secrets_, next_sequence(session.facts, time), session.link.node_key);
            contents.secrets = protocol::replace_by(as_text(sealed_));
        }
        protocol::Deployment deployment =
            make_deployment(node_, session.name, intent_, session.facts, session.link.node_key, contents, time);
        deployment.boot_files = closure.boot_files;
        sequence_ = deployment.sequence;
        return protocol::sign(deployment, context_.identity);
    }

    Conversation::Ending converse(Session& session, const protocol::SignedDocument& document, const Closure& closure) {
        Conversation conversation(node_.name, session, document, {closure, as_text(sealed_)}, activation_limit(),
                                  context_, progress_);
        const protocol::Facts& facts = session.facts;
        if (facts.last_admitted != document.id())
            conversation.deploy();
        else
            conversation.attach(facts.running && is_before_activation(facts.running->state));
        if (facts.awaits_confirmation == document.id())
            conversation.confirm();
        return conversation.follow();
    }

    // An agent that waits for its nix daemon does not read from its session, but accepts a cancel in a new one.
    Conversation::Ending call_off(const protocol::SignedDocument& document, const Closure& closure) {
        const Finishing finishing; // keeps the dialer from closing the connection, however long connecting takes
        try {
            Session session = open_session(context_.connect, node_, context_.identity, never_);
            if (session.facts.last_admitted == document.id())
                return converse(session, document, closure);
        } catch (const std::exception& error) {
            context_.reporter.line(node_.name, fmt::format("could not cancel its deployment: {}", error.what()));
        }
        return Detached{.activation_began = progress_.activation_seen};
    }

    std::chrono::milliseconds reboot_limit() const {
        return intent_.reboot == protocol::Reboot::never ? std::chrono::milliseconds(0) : context_.limits.reboot;
    }

    // From the beginning of the activation to the result, whatever it is.
    std::chrono::milliseconds activation_limit() const {
        const auto& rollback = node_.deployment.rollback;
        const auto& limits = context_.limits;
        return rollback.activation_timeout + rollback.confirm_timeout + limits.after_rollback +
               limits.activation_slack + reboot_limit();
    }

    static bool is_before_activation(protocol::DeploymentState state) {
        return state == protocol::DeploymentState::received || state == protocol::DeploymentState::fetching;
    }

    // Whether to deploy again because the agent cancelled the deployment when it lost us, and we are connected again.
    bool should_retry(const protocol::Result& result) {
        const bool given_up =
            result.code == "session-lost" || result.code == "agent-restarted" || result.code == "cancelled";
        return given_up && (losses_ > 0 || result.code != "cancelled") && !context_.interrupt.requested() &&
               ++reconnects_ <= context_.limits.reconnects_before_activation;
    }

    // Opens a session after one was lost. Throws Interrupted, net::WrongHostKey or RefusedByNode, or Error with the
    // reason of the last attempt.
    Session reopen(const net::ConnectionLost& lost) {
        const std::string loss = lost.what();
        const bool patient = may_have_begun(intent_, progress_);
        // A node that cannot be reached rolls back by itself. Only after that is the result known.
        const auto limits = context_.limits;
        const Deadline give_up =
            deadline_in(std::max(limits.reattach, node_.deployment.rollback.confirm_timeout + limits.after_rollback) +
                        reboot_limit());
        if (++losses_ > limits.reconnects || (!patient && ++reconnects_ > limits.reconnects_before_activation))
            throw Error(fmt::format("the connection kept failing: {}", loss));
        const bool expected = progress_.state == protocol::DeploymentState::activated; // the agent is restarting
        context_.reporter.step(node_.name, expected ? Step::confirming : Step::reconnecting);
        if (!expected)
            context_.reporter.line(node_.name, loss);
        for (auto wait = context_.limits.backoff;; wait = std::min(wait * 2, std::chrono::milliseconds(5000))) {
            try {
                if (progress_.activation_seen && Finishing::asked_to_leave())
                    throw Error(fmt::format("{}; then the trigger stopped waiting", loss));
                (progress_.activation_seen ? never_ : context_.interrupt).wait(wait);
                return open();
            } catch (const Interrupted&) {
                throw;
            } catch (const net::WrongHostKey&) {
                throw;
            } catch (const RefusedByNode& refused) {
                // All sessions of the node are taken, perhaps by lost ones of ours, and one ends soon. Any other
                // refusal is final.
                if (refused.code() != "busy" || !patient || Clock::now() + wait >= give_up)
                    throw;
            } catch (const Error& error) {
                if (!patient || Clock::now() + wait >= give_up)
                    throw Error(fmt::format("{}; then it could not be reached again: {}", loss, error.what()));
            }
        }
    }

    const DeployedNode& node_;
    const Intent& intent_;
    const DeployContext& context_;
    DeploymentProgress progress_;
    const Interrupt never_;              // never requested; to reach a node despite Ctrl-C
    std::optional<NodeSecrets> secrets_; // nullopt: the node keeps those it has
    Bytes sealed_;                       // the secrets for the document that was signed last
    NodeReport report_;
    std::int64_t sequence_ = 0; // of the document that was signed last
    int reconnects_ = 0;        // before the activation
    int losses_ = 0;
};

} // namespace

NodeReport deploy_node(const DeployedNode& node, const Intent& intent, const DeployContext& context) noexcept {
    return NodeDeployment(node, intent, context).run();
}

} // namespace waggle::trigger
