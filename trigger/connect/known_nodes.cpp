#include "trigger/connect/known_nodes.hpp"

#include "trigger/base/work_queue.hpp"

#include <algorithm>
#include <exception>
#include <optional>

namespace waggle::trigger {

namespace {

constexpr size_t ssh_processes = 8;

// Returns the keys by which a node is known at any of its addresses. Throws UnknownHost if it is known at none of them.
std::vector<ssh::PublicKey> find_keys(const DeploymentOptions& deployment,
                                      const std::vector<SshDestination>& destinations, KnownHostsFiles& known_hosts) {
    std::vector<ssh::PublicKey> keys;
    std::optional<UnknownHost> unknown;
    for (const SshDestination& destination : destinations) {
        try {
            for (const auto& key : choose_pins(deployment, destination, known_hosts.of(destination)))
                if (std::ranges::find(keys, key) == keys.end())
                    keys.push_back(key);
        } catch (const UnknownHost& reason) {
            if (!unknown)
                unknown = reason;
        }
    }
    if (keys.empty() && unknown)
        throw *unknown;
    for (const SshDestination& destination : destinations)
        require_not_revoked(keys, destination);
    return keys;
}

} // namespace

Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts) {
    // `ssh -G` runs once per address, which takes some milliseconds.
    struct Question {
        std::string name;
        const DeploymentOptions* deployment = nullptr;
        std::vector<SshDestination> destinations;
        std::string problem;
    };
    std::vector<Question> questions;
    for (const auto& [name, deployment] : nodes)
        questions.push_back({name, &deployment, {}, {}});
    in_parallel(questions.size(), ssh_processes, [&](size_t i) {
        Question& question = questions[i];
        try {
            const auto& deployment = *question.deployment;
            question.destinations = {find_destination(deployment.require_target_host(), deployment.target_port)};
            for (const std::string& host : deployment.other_hosts)
                question.destinations.push_back(find_destination(host, deployment.target_port));
        } catch (const std::exception& error) {
            question.problem = error.what();
        }
    });

    Pins pins;
    std::map<std::string, std::vector<ssh::PublicKey>> keys;
    for (Question& question : questions) {
        if (!question.problem.empty()) {
            pins.refusals[question.name] = question.problem;
            continue;
        }
        try {
            auto& destinations = question.destinations;
            keys[question.name] = find_keys(*question.deployment, destinations, known_hosts);
            pins.nodes[question.name] = {
                destinations.front(), keys[question.name], {destinations.begin() + 1, destinations.end()}};
        } catch (const UnknownHost& reason) {
            pins.refusals[question.name] = reason.what();
            pins.unknown[question.name] = question.destinations.front();
        } catch (const Error& reason) {
            pins.refusals[question.name] = reason.what();
        }
    }
    pins.refusals.merge(find_shared_keys(keys));
    return pins;
}

} // namespace waggle::trigger
