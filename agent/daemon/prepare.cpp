#include "agent/daemon/prepare.hpp"

#include "agent/daemon/admission.hpp"
#include "agent/node/gc_roots.hpp"
#include "agent/node/operators.hpp"
#include "agent/node/specialisation.hpp"
#include "agent/secrets/bundle_files.hpp"
#include "shared/base/error.hpp"
#include "shared/net/connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace waggle::agent {

using protocol::Deployment;
using protocol::Goal;
using protocol::Outcome;

namespace {

bool runs_already(const Host& host, const Deployment& deployment) {
    const auto& toplevel = deployment.require_toplevel();
    const auto current = host.current_system();
    if (deployment.goal == Goal::boot || host.specialisations(toplevel).empty())
        return current == toplevel;
    try {
        return current == choose_specialisation(host, toplevel, deployment.specialisation).system.value_or(toplevel);
    } catch (const NotActivated&) {
        return false; // reported once everything is in the store
    }
}

// Whether the node already runs the system and, if the goal needs that, boots it.
bool is_unchanged(const Host& host, const Deployment& deployment) {
    if (deployment.goal != Goal::switch_ && deployment.goal != Goal::boot && deployment.goal != Goal::test)
        return false;
    if (deployment.install_boot_loader)
        return false;
    return runs_already(host, deployment) && (deployment.goal == Goal::test || host.profile() == deployment.toplevel);
}

std::optional<BundleRef> receive_bundle(const Environment& environment, const Deployment& deployment,
                                        const protocol::DeploymentId& id, Feed& feed) {
    if (deployment.secrets.keep)
        return std::nullopt;
    const BundleFiles files(environment.state_dir);
    auto bundle = files.receive(id, deployment.sequence, deployment.secrets, [&] { return feed.next_bundle_piece(); });
    bundle.hive = deployment.hive; // the new system may give the node another name
    bundle.node = deployment.node;
    std::vector<protocol::DeploymentId> wanted{id};
    if (const auto committed = environment.state.get().secrets)
        wanted.push_back(committed->id);
    files.keep_only(wanted);
    return bundle;
}

FetchProgress fetch_system(const Environment& environment, const Deployment& deployment,
                           const protocol::DeploymentId& id, NodeStore& store, Feed& feed,
                           const PreparationReports& reports) {
    const auto list = receive_closure_list(deployment.require_closure(), deployment.require_toplevel(), feed);
    if (sets_profile(deployment.goal))
        environment.archive.keep_list(id, to_text(list));
    UnsyncedPaths unsynced(environment.state_dir / "unsynced", environment.host.boot_id());
    return fetch(list, store, feed, unsynced,
                 {.local_content = deployment.local_content,
                  .free_bytes = environment.host.free_store_bytes(),
                  .on_progress = reports.on_progress,
                  .on_note = reports.on_note});
}

bool was_here_before(const Environment& environment, const nix::StorePath& toplevel) {
    return environment.host.is_generation(toplevel) ||
           std::ranges::any_of(environment.archive.history(Archive::max_entries), [&](const auto& entry) {
               return entry.generation && entry.toplevel == toplevel.absolute();
           });
}

// The agent that the new system starts. Throws NotActivated if it could not take over this deployment.
std::optional<NextAgent> check_next_agent(const Environment& environment, const nix::StorePath& toplevel) {
    std::optional<NextAgent> next;
    try {
        next = environment.host.agent_in(toplevel);
    } catch (const Error& error) {
        throw NotActivated(
            Outcome::refused, "agent-configuration",
            fmt::format("the new system's agent has a configuration that cannot be read: {}", error.what()));
    }
    // The new agent would find no record of the deployment that has started it, and roll back.
    if (next && next->state_dir && *next->state_dir != environment.state_dir)
        throw NotActivated(
            Outcome::refused, "state-directory",
            fmt::format("the new system keeps the agent's state in {}, and this one in {}, so its agent would "
                        "not know this deployment: copy that folder, with its permissions, and switch with "
                        "nixos-rebuild on the node; or leave services.waggle-agent.stateDir as it is",
                        next->state_dir->string(), environment.state_dir.string()));
    return next;
}

// Checks the last admission rule: the system has an agent and operators. Returns nullopt if it removes the agent.
// Throws NotActivated.
std::optional<Prepared::Operators> check_agent_and_operators(const Environment& environment,
                                                             const Deployment& deployment, std::string_view signer,
                                                             const PreparationReports& reports) {
    const auto& toplevel = deployment.require_toplevel();
    const auto agent = check_next_agent(environment, toplevel);
    const auto now = operators_of(environment.state.get(), environment.configured);
    const auto next =
        agent ? std::optional(operators_after_commit(now, agent->operators, was_here_before(environment, toplevel)))
              : std::nullopt;
    if (const auto refusal = check_system(deployment, next, signer))
        throw NotActivated(Outcome::refused, refusal->code, refusal->message);
    if (!next)
        return std::nullopt;
    for (const auto& key : agent->operators)
        if (std::ranges::find(next->removed, key) != next->removed.end())
            reports.on_note(
                fmt::format("{} was removed by a later configuration and stays removed", key.fingerprint()));
    return Prepared::Operators{.now = now, .next = *next};
}

// Checks a system in the store that is about to be activated. Throws NotActivated.
void check_bootable(const Host& host, const Deployment& deployment) {
    const auto& toplevel = deployment.require_toplevel();
    if (!host.is_system(toplevel))
        throw NotActivated(Outcome::failed_before_activation, "not-a-system",
                           fmt::format("{} has no bin/switch-to-configuration", toplevel.absolute()));
    if (const auto room = host.boot_space(); room && sets_profile(deployment.goal))
        check_boot_space(host.boot_files(toplevel, room->device_trees), room);
}

} // namespace

std::optional<Prepared> prepare(const Environment& environment, const Deployment& deployment,
                                const LastAdmitted& admitted, std::unique_ptr<NodeStore> store, Feed& feed,
                                const PreparationReports& reports) {
    const auto& host = environment.host;
    const bool any_content = deployment.local_content == protocol::LocalContent::trust_node;
    if (deployment.secrets.keep && any_content && is_unchanged(host, deployment))
        return std::nullopt; // does not request the closure list
    if (sets_profile(deployment.goal))
        check_boot_space(deployment.boot_files, host.boot_space());

    reports.on_fetch();
    Prepared prepared;
    prepared.bundle = receive_bundle(environment, deployment, admitted.id, feed);
    prepared.secrets_only = !deployment.toplevel || (any_content && is_unchanged(host, deployment));
    if (prepared.secrets_only)
        return prepared;
    reports.on_fetched(fetch_system(environment, deployment, admitted.id, *store, feed, reports));
    if (is_unchanged(host, deployment)) {
        prepared.secrets_only = true;
        return prepared.bundle ? std::optional(prepared) : std::nullopt;
    }
    GcRoots(environment.state_dir)
        .add(*store, admitted.id, deployment.require_toplevel(), host.current_system(), own_package());
    store.reset();

    if (!activates(deployment.goal))
        return prepared;
    check_bootable(host, deployment);
    if (deployment.goal != Goal::boot) {
        auto choice = choose_specialisation(host, deployment.require_toplevel(), deployment.specialisation);
        if (!choice.note.empty())
            reports.on_note(choice.note);
        prepared.target = std::move(choice.system);
    }
    prepared.operators = check_agent_and_operators(environment, deployment, admitted.operator_key, reports);
    return prepared;
}

Ending ending_of_cancelled() {
    return {.outcome = Outcome::interrupted,
            .code = "cancelled",
            .message = "stopped by the operator before the activation"};
}

Ending ending_of_failed_preparation() {
    const auto because = [](std::string code, std::string message) {
        return Ending{
            .outcome = Outcome::failed_before_activation, .code = std::move(code), .message = std::move(message)};
    };
    try {
        throw;
    } catch (const NotActivated& error) {
        return {.outcome = error.outcome(), .code = error.code(), .message = error.what()};
    } catch (const Interrupted&) {
        return ending_of_cancelled();
    } catch (const net::ConnectionLost& error) {
        return because(
            "session-lost",
            fmt::format("the session was lost while fetching ({}); fetched paths are kept; run apply again to resume",
                        error.what()));
    } catch (const nix::DaemonError& error) {
        auto failure = store_failure(error);
        return because(std::move(failure.code), std::move(failure.message));
    } catch (const std::exception& error) {
        return because("fetch-failed", error.what());
    }
}

} // namespace waggle::agent
