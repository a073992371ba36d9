#include "trigger/command/rollback.hpp"

#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/signed_document.hpp"
#include "trigger/build/store.hpp"
#include "trigger/command/result.hpp"
#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/deploy_node.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace waggle::trigger {

namespace {

constexpr std::uint64_t newest_entries = 20; // of the history; the running system is among them

// What a node has returned, verified against its signature.
struct Recollection {
    protocol::Deployment deployment;
    std::shared_ptr<const Closure> closure;
    std::uint64_t generation = 0;
    std::string signer;
    std::string from; // what the node has now
};

std::shared_ptr<const Closure> receive_closure(Session& session, const protocol::Deployment& deployment,
                                               std::uint64_t bytes) {
    protocol::ClosureListReader reader(*deployment.closure, *deployment.toplevel);
    auto closure = std::make_shared<Closure>();
    while (closure->text.size() < bytes) {
        const auto message = session.link.connection->receive(deadline_in(answer_time));
        if (!message)
            throw net::ConnectionLost("the agent closed the connection before the closure list's end");
        const protocol::Incoming incoming = protocol::decode(*message);
        const auto* piece = std::get_if<protocol::ClosureListPiece>(&incoming);
        if (!piece)
            throw protocol::BadDocument("the agent sent something other than the closure list");
        reader.update(piece->text);
        closure->text += piece->text;
    }
    closure->list = reader.finish();
    closure->summary = *deployment.closure;
    closure->boot_files = deployment.boot_files;
    return closure;
}

// A node could return a deployment that another person, or no one, has signed. The signer must be allowed to deploy
// there now.
std::string operator_who_signed(const protocol::SignedDocument& document, const NodeQuery& asked) {
    const auto signers = protocol::valid_signers(document);
    if (signers.empty())
        throw RefusedByNode(
            {"bad-signature", "the node returned a deployment without a valid signature: it is not deployed again"});
    std::vector<ssh::PublicKey> operators{asked.identity.public_key()};
    for (const std::string& line : asked.address.operators)
        operators.push_back(ssh::PublicKey::parse(line));
    for (const auto& signer : signers)
        if (std::ranges::find(operators, signer) != operators.end())
            return signer.fingerprint();
    throw RefusedByNode(
        {"unknown-operator",
         fmt::format("the node returned a deployment signed by {}, which is not an operator key of {} in "
                     "this hive: it is not deployed again; to deploy it, deploy its git revision",
                     signers.front().fingerprint(), asked.address.name)});
}

// Describes the node's profile with its generation, if the node's history has it. It may have been set by other means.
std::string describe_profile(Session& session) {
    auto system = session.facts.profile.value_or("no system");
    for (const auto& entry : request<protocol::History>(session, protocol::GetHistory{newest_entries}).entries)
        if (entry.generation && entry.toplevel == system)
            return fmt::format("generation {}, {}", *entry.generation, system);
    return system;
}

Recollection recall(Session& session, const NodeQuery& asked, std::optional<size_t> generation) {
    const auto recalled = request<protocol::Recalled>(session, protocol::Recall{generation});
    Recollection found;
    found.generation = recalled.generation;
    found.deployment = protocol::parse_deployment(recalled.document.payload);
    found.signer = operator_who_signed(recalled.document, asked);
    const AgentName of{found.deployment.hive, found.deployment.node};
    const auto& former = asked.address.former_names;
    if (of != session.name && of != AgentName{asked.address.hive, asked.address.node} &&
        std::ranges::find(former, of) == former.end())
        throw RefusedByNode({"other-node", fmt::format("the node returned a deployment for {} of {}: it is not "
                                                       "deployed again",
                                                       found.deployment.node, found.deployment.hive)});
    if (!found.deployment.toplevel || !found.deployment.closure)
        throw RefusedByNode({"bad-document", "the node returned a deployment without a system"});
    found.closure = receive_closure(session, found.deployment, recalled.list_bytes);
    return found;
}

} // namespace

NodeReport roll_back_node(const NodeQuery& asked, const RollbackOptions& options, const Store& store,
                          PackedNars* packed_nars, UploadLimit* upload_limit) {
    Recollection old;
    {
        Session session = open_session(asked.connect, asked.address, asked.identity, asked.interrupt);
        old = recall(session, asked, options.generation);
        old.from = describe_profile(session);
        session.close();
    }
    const auto what = fmt::format("from {} back to generation {}, {}, which {} had signed", old.from, old.generation,
                                  old.deployment.toplevel->absolute(), old.signer);
    asked.reporter.line(asked.address.name, what);
    // The node has an agent, or it could not have been asked. No derivation is needed.
    DeployedNode node{asked.address, true};
    node.system = old.deployment.system;
    node.deployment.rollback = old.deployment.rollback;
    node.deployment.local_content = old.deployment.local_content;
    node.deployment.specialisation = old.deployment.specialisation;
    NodeReport report = deploy_node(node,
                                    {.goal = protocol::Goal::switch_,
                                     .force = options.force,
                                     .remove_agent = old.deployment.remove_agent,
                                     .git = old.deployment.git},
                                    {.connect = asked.connect,
                                     .toplevel = old.deployment.toplevel,
                                     .closure = [&] { return old.closure; },
                                     .nar_reader = [&] { return store.nar_reader(); },
                                     .identity = asked.identity,
                                     .interrupt = asked.interrupt,
                                     .reporter = asked.reporter,
                                     .limits = limits_with(options.connect.upload_limit, options.connect.parallel),
                                     .packed_nars = packed_nars,
                                     .upload_limit = upload_limit});
    if (protocol::exit_code(report.outcome) == 0)
        report.answer = {what};
    return report;
}

int rollback(const GlobalOptions& global, const RollbackOptions& options, const Interrupt& interrupt) {
    const Store store(build_store(global.nix));
    PackedNars packed_nars([&] { return store.nar_reader(); });
    std::optional<UploadLimit> upload_limit(options.connect.upload_limit);
    const auto reports =
        ask_nodes(global, options.select, options.connect, interrupt, false, [&](const NodeQuery& asked) {
            return roll_back_node(asked, options, store, &packed_nars, upload_limit ? &*upload_limit : nullptr);
        });
    if (global.json)
        return print_json_result("rollback", reports);
    return print_summary(global, reports);
}

Subcommand rollback_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<RollbackOptions>();
    CLI::App& app = add_subcommand(waggle, "rollback", group::deploy, "Deploy the nodes' previous systems again");
    add_select_options(app, options->select);
    add_connect_options(app, options->connect);
    add_upload_limit_option(app, options->connect);
    app.add_option("--to", options->generation, "The generation (default: the one before the running system)")
        ->type_name("GENERATION")
        ->check(CLI::Range(1, 1'000'000'000));
    app.add_flag("--force", options->force, "Proceed even if another operator has deployed in the meantime");
    return make_subcommand(app, options, rollback);
}

} // namespace waggle::trigger
