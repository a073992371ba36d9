#include "trigger/hive/evaluate.hpp"

#include "shared/base/process.hpp"
#include "trigger/hive/nix_string.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <iterator>

namespace waggle::trigger {

using protocol::Json;

namespace {

constexpr auto evaluation_time =
    std::chrono::minutes(60); // real NixOS takes seconds a node; imports from derivations build
constexpr size_t max_answer_bytes = 256 << 20;

std::string names_expression(std::span<const std::string> names) {
    return fmt::format("(builtins.fromJSON {})", nix_string(Json(std::vector(names.begin(), names.end())).dump()));
}

template <class T, class FromJson>
Evaluated<T> read_nodes(std::span<const std::string> names, ChunkResult chunk, FromJson from_json) {
    Evaluated<T> read;
    for (const std::string& name : names) {
        const auto found = chunk.nodes.find(name);
        if (found == chunk.nodes.end())
            continue;
        try {
            read.nodes.push_back(from_json(name, found->second));
        } catch (const Error& error) { // a value that no module's type could refuse
            chunk.failures[name] = error.what();
        }
    }
    read.failures = std::move(chunk.failures);
    return read;
}

template <class T>
void append(Evaluated<T>& all, Evaluated<T> more) {
    std::move(more.nodes.begin(), more.nodes.end(), std::back_inserter(all.nodes));
    all.failures.merge(more.failures);
}

} // namespace

std::filesystem::path nixos_module_folder() {
    if (const char* folder = std::getenv("WAGGLE_NIXOS_MODULE"); folder && *folder)
        return std::filesystem::absolute(folder);
    return WAGGLE_NIXOS_MODULE_DIR;
}

Evaluator::Evaluator(Options options, const Interrupt& interrupt, OnLine on_line)
    : options_(std::move(options)), interrupt_(interrupt), on_line_(std::move(on_line)) {}

std::string Evaluator::hive_expression() const {
    return fmt::format("(import {} {{ path = {}; }})", nix_string((nixos_module_folder() / "hive.nix").string()),
                       nix_string(options_.hive_file.string()));
}

Json Evaluator::evaluate(const std::string& expression) {
    // --read-write-mode: the derivations that are evaluated are written to the store.
    Command command{.argv = {"nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode"},
                    .extra_environment = {}};
    if (options_.nix.show_trace)
        command.argv.emplace_back("--show-trace");
    const std::vector<std::string> words = arguments(options_.nix, machines_file_);
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    command.argv.insert(command.argv.end(), {"-E", expression});

    // Halves of a failed chunk print the same warnings again; from the error on, the caller shows it.
    bool in_error = false;
    const auto on_line = [&](std::string_view line) {
        in_error = in_error || line.find("error:") != std::string_view::npos;
        if (!in_error && !line.empty() && lines_seen_.emplace(line).second)
            on_line_(line);
    };
    const RunResult result = run(command, {.deadline = deadline_in(evaluation_time),
                                           .max_stdout_bytes = max_answer_bytes,
                                           .on_stderr_line = on_line,
                                           .interrupt = &interrupt_});
    interrupt_.check(); // Ctrl-C reaches the child as well
    if (result.status.signal != 0)
        throw EvaluationError(
            fmt::format("nix-instantiate was {}; with signal 9 memory ran out, perhaps: try a smaller "
                        "--eval-node-limit",
                        result.status.to_string()));
    if (!result.status.success())
        throw EvaluationError(nix_error(result.err_tail, options_.nix.show_trace));
    return protocol::parse_json(result.out, "the evaluation's answer");
}

HiveInfo Evaluator::info() {
    HiveInfo info = hive_info_from_json(evaluate(hive_expression() + ".info"));
    machines_file_ = info.machines_file;
    return info;
}

std::map<std::string, DeploymentOptions> Evaluator::deployments(std::span<const std::string> names) {
    const Json json = evaluate(fmt::format("{}.deployments {}", hive_expression(), names_expression(names)));
    std::map<std::string, DeploymentOptions> deployments;
    for (const auto& [name, options] : json.items())
        deployments[name] = deployment_options_from_json(options);
    return deployments;
}

Evaluated<NodeAddress> Evaluator::addresses(std::span<const std::string> names) {
    const auto evaluate_chunk = [&](std::span<const std::string> some) {
        return evaluate(
            fmt::format("builtins.mapAttrs (_: n: {{ inherit (n) deployment hive node operators; }}) ({}.nodes {})",
                        hive_expression(), names_expression(some)));
    };
    Evaluated<NodeAddress> all;
    for (const auto& chunk : plan_chunks(names, options_.chunk_limit)) {
        ChunkResult result;
        evaluate_halving(chunk, evaluate_chunk, result);
        append(all, read_nodes<NodeAddress>(chunk, std::move(result), node_address_from_json));
    }
    return all;
}

Evaluated<EvaluatedNode> Evaluator::nodes(std::span<const std::string> names, const Progress& progress) {
    const auto evaluate_chunk = [&](std::span<const std::string> some) {
        return evaluate(fmt::format("{}.nodes {}", hive_expression(), names_expression(some)));
    };
    Evaluated<EvaluatedNode> all;
    for (const auto& chunk : plan_chunks(names, options_.chunk_limit)) {
        progress.chunk_begins(chunk);
        ChunkResult result;
        evaluate_halving(chunk, evaluate_chunk, result);
        Evaluated<EvaluatedNode> some = read_nodes<EvaluatedNode>(chunk, std::move(result), evaluated_node_from_json);
        progress.chunk_ended(some);
        append(all, std::move(some));
    }
    return all;
}

} // namespace waggle::trigger
