#include "trigger/command/ask.hpp"

#include "trigger/base/work_queue.hpp"
#include "trigger/command/hive_pipeline.hpp"
#include "trigger/command/result.hpp"
#include "trigger/connect/dialer.hpp"
#include "trigger/connect/known_nodes.hpp"
#include "trigger/deploy/how_it_ended.hpp"
#include "trigger/deploy/rollout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <utility>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

NodeReport ended(const std::string& node, HowItEnded ending) {
    NodeReport report;
    report.node = node;
    report.outcome = ending.outcome;
    report.code = std::move(ending.code);
    report.message = std::move(ending.message);
    return report;
}

NodeReport ask_one(const NodeQuery& asked, const std::function<NodeReport(const NodeQuery&)>& ask) {
    const std::string& node = asked.address.name;
    try {
        NodeReport report = ask(asked);
        report.node = node;
        return report;
    } catch (const Interrupted&) {
        return ended(node, {Outcome::interrupted, "interrupted", "interrupted before it answered"});
    } catch (const std::exception& error) {
        return ended(node, how_no_session_began(std::current_exception())
                               .value_or(HowItEnded{Outcome::unreachable, "unreachable", error.what()}));
    }
}

} // namespace

std::vector<NodeReport> ask_nodes(const GlobalOptions& global, const SelectOptions& select,
                                  const ConnectOptions& connect, const Interrupt& interrupt, bool all_allowed,
                                  const std::function<NodeReport(const NodeQuery&)>& ask, const FindNodes& find) {
    return query_nodes(load_identity(connect.identity, IdentityPlaces::of_this_process()), global, select, connect,
                       interrupt, all_allowed, ask, find);
}

std::vector<NodeReport> query_nodes(const Identity& identity, const GlobalOptions& global, const SelectOptions& select,
                                    const ConnectOptions& connect, const Interrupt& interrupt, bool all_allowed,
                                    const std::function<NodeReport(const NodeQuery&)>& ask, const FindNodes& find) {
    KnownHostsFiles known_hosts(connect.known_hosts);
    std::unique_ptr<Reporter> reporter = make_reporter(global);
    if (identity.warning)
        reporter->note(*identity.warning);
    HivePipeline pipeline(global, select, interrupt, *reporter);
    const std::vector<std::string> names = pipeline.select(all_allowed);
    require_fitting(connect.reach, names.size());
    std::vector<NodeAddress> nodes = find ? find(pipeline, names) : pipeline.addresses(names);
    std::erase_if(nodes, [&](const NodeAddress& node) {
        const bool skipped = !node.deployment.target_host || !node.deployment.agent_enable || node.node.empty();
        if (skipped)
            reporter->note(fmt::format("{} is skipped: it has no targetHost, or no agent", node.name));
        return skipped;
    });
    std::map<std::string, DeploymentOptions> targets;
    for (NodeAddress& node : nodes) {
        set_reach(connect.reach, node);
        targets[node.name] = node.deployment;
    }
    const Pins pins = find_pins(targets, known_hosts);
    std::vector<NodeReport> reports(nodes.size());
    {
        Dialer dialer(interrupt);
        in_parallel(nodes.size(), connect.parallel, [&](size_t i) {
            const NodeAddress& node = nodes[i];
            reporter->step(node.name, Step::connecting);
            if (const auto refusal = pins.refusals.find(node.name); refusal != pins.refusals.end()) {
                reports[i] = ended(node.name,
                                   {Outcome::refused, "no-pin", dialer.with_line_to_add(refusal->second, node, pins)});
            } else {
                const Dialer::ActiveNode talk(dialer);
                reports[i] = ask_one({.address = node,
                                      .connect = dialer.connector(node, pins.nodes.at(node.name)),
                                      .identity = *identity.signer,
                                      .interrupt = interrupt,
                                      .reporter = *reporter},
                                     ask);
            }
            show_end(*reporter, reports[i]);
        });
    }
    std::ranges::move(pipeline.take_failures(), std::back_inserter(reports));
    return reports;
}

} // namespace waggle::trigger
