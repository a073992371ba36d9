#include "trigger/deploy/how_it_ended.hpp"

#include "trigger/deploy/build_on_target.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <fmt/format.h>

#include <chrono>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

// Describes how the node continues an activation that the trigger has left.
std::string what_follows(const EndedDeployment& deployment) {
    const protocol::Rollback& rollback = deployment.node.deployment.rollback;
    const auto way_to_keep = fmt::format("`waggle confirm --on {}` keeps the new system", deployment.node.name);
    if (!rollback.enable || deployment.intent.no_rollback)
        return "it continues on the node";
    if (const auto activated_at = deployment.progress.activated_at) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(*activated_at + rollback.confirm_timeout -
                                                                  std::chrono::steady_clock::now());
        return left.count() > 0 ? fmt::format("unconfirmed, rolls back in {} s: {}", left.count(), way_to_keep)
                                : "it was not confirmed in time, so it has probably rolled back";
    }
    return fmt::format(
        "it continues on the node, unconfirmed, and rolls back {} s after the activation ends: until then {}",
        rollback.confirm_timeout.count(), way_to_keep);
}

// Describes a failure before the activation, when nothing has changed on the node but its store.
HowItEnded ended_early(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const SecretNotRead& error) {
        return {Outcome::secret_not_read, "secret-not-read", error.what()};
    } catch (const NotBuiltThere& reason) {
        return {reason.code() == "build-failed" ? Outcome::build_failed : Outcome::failed_before_activation,
                reason.code(), reason.what()};
    } catch (const std::exception& error) {
        return how_no_session_began(failure).value_or(
            HowItEnded{Outcome::failed_before_activation, "failed", error.what()});
    }
}

std::string message_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    }
}

} // namespace

std::optional<HowItEnded> how_no_session_began(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const RefusedByNode& refused) {
        return HowItEnded{Outcome::refused, refused.code(), refused.what()};
    } catch (const net::WrongHostKey& error) {
        return HowItEnded{Outcome::refused, "wrong-host-key", error.what()};
    } catch (const net::Unreachable& error) {
        return HowItEnded{Outcome::unreachable, "unreachable", error.what()};
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

bool may_have_begun(const Intent& intent, const DeploymentProgress& progress) {
    const bool changes_the_node = protocol::activates(intent.goal) || intent.goal == protocol::Goal::upload_keys;
    return progress.activation_seen || (changes_the_node && progress.everything_was_sent);
}

HowItEnded how_it_ended(const EndedDeployment& deployment, const protocol::Result& result) {
    const bool stopped = deployment.interrupted && result.outcome == Outcome::failed_before_activation;
    return {stopped ? Outcome::interrupted : result.outcome, result.code, result.message};
}

HowItEnded how_it_ended(const EndedDeployment& deployment, const Detached& left) {
    const auto state = protocol::to_string(deployment.progress.state);
    if (!left.activation_began)
        return {Outcome::interrupted, "interrupted",
                fmt::format("stopped while it was {}; nothing was changed but verified paths in its store", state)};
    return {Outcome::unknown, "interrupted",
            fmt::format("the trigger stopped waiting while the node was {}: {}; `waggle status --on {}` shows what "
                        "runs there",
                        state, what_follows(deployment), deployment.node.name)};
}

HowItEnded how_it_ended(const EndedDeployment& deployment, const std::exception_ptr& failure) {
    const DeploymentProgress& progress = deployment.progress;
    if (progress.sent_at && may_have_begun(deployment.intent, progress))
        return {Outcome::unknown, "lost",
                fmt::format("{}\nIts activation {}: {}; `waggle status --on {}` shows what runs there once it can be "
                            "reached",
                            message_of(failure), progress.activation_seen ? "had begun" : "may have begun",
                            what_follows(deployment), deployment.node.name)};
    if (deployment.interrupted)
        return {Outcome::interrupted, "interrupted",
                progress.sent_at || progress.asked_to_build
                    ? "stopped; nothing was changed but verified paths in its store"
                    : "stopped before anything was sent to it"};
    return ended_early(failure);
}

} // namespace waggle::trigger
