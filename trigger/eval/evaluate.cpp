#include "trigger/eval/evaluate.hpp"

#include "shared/base/process.hpp"
#include "shared/ssh/wipe.hpp"
#include "trigger/eval/eval_cache.hpp"
#include "trigger/hive/from_json.hpp"
#include "trigger/hive/nix_error.hpp"
#include "trigger/hive/nix_string.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

namespace waggle::trigger {

using protocol::Json;

namespace {

constexpr auto evaluation_time = std::chrono::minutes(60);
constexpr size_t max_answer_bytes = 256 << 20;
constexpr const char* heap_variable = "GC_INITIAL_HEAP_SIZE"; // of Nix's garbage collector, in bytes
const std::string info_member = "info";

std::string names_expression(std::span<const std::string> names) {
    return fmt::format("(builtins.fromJSON {})", nix_string(Json(std::vector(names.begin(), names.end())).dump()));
}

std::string node_member(const std::string& name) {
    return "node " + name;
}

void wipe_strings(Json& json) {
    if (auto* text = json.get_ptr<std::string*>())
        OPENSSL_cleanse(text->data(), text->size());
    if (json.is_structured())
        for (Json& item : json)
            wipe_strings(item);
}

// Overwrites the texts of secrets at the end of the scope, even if one of them is rejected.
class WipeStrings {
public:
    explicit WipeStrings(Json& json) : json_(json) {}
    WipeStrings(const WipeStrings&) = delete;
    WipeStrings& operator=(const WipeStrings&) = delete;
    ~WipeStrings() { wipe_strings(json_); }

private:
    Json& json_;
};

std::string deployment_member(const std::string& name) {
    return "deployment " + name;
}

// Returns the nodes in the order of the names.
template <class T>
std::vector<T> in_order(std::span<const std::string> names, std::map<std::string, T> found) {
    std::vector<T> ordered;
    for (const std::string& name : names) {
        if (const auto node = found.find(name); node != found.end())
            ordered.push_back(std::move(node->second));
    }
    return ordered;
}

} // namespace

Evaluator::Evaluator(Options options, EvalCache& cache, const Interrupt& interrupt, OnLine on_line)
    : options_(std::move(options)), cache_(cache), interrupt_(interrupt), on_line_(std::move(on_line)) {}

Command Evaluator::command(const std::string& expression, Mode mode) const {
    Command command{.argv = {"nix-instantiate"}, .extra_environment = {}};
    if (mode == Mode::evaluate) // --read-write-mode writes the evaluated derivations to the store.
        command.argv.insert(command.argv.end(), {"--eval", "--strict", "--json", "--read-write-mode"});
    command.argv.insert(command.argv.end(), options_.source.arguments.begin(), options_.source.arguments.end());
    if (options_.nix.show_trace)
        command.argv.emplace_back("--show-trace");
    const std::vector<std::string> words = arguments(options_.nix, machines_file_);
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    command.argv.insert(command.argv.end(),
                        {"-E", fmt::format("let hive = {}; in {}", options_.source.expression, expression)});
    return command;
}

Json Evaluator::evaluate(const std::string& expression) {
    // The caller shows the lines from the error on.
    bool in_error = false;
    const auto on_line = [&](std::string_view line) {
        in_error = in_error || line.find("error:") != std::string_view::npos;
        if (!in_error && !line.empty())
            say_once(line);
    };
    RunResult result = waggle::run(command(expression), {.deadline = deadline_in(evaluation_time),
                                                         .max_stdout_bytes = max_answer_bytes,
                                                         .on_stderr_line = on_line,
                                                         .interrupt = &interrupt_});
    const ssh::Wipe wipe(result.out); // it may contain texts of secrets
    interrupt_.check();               // Ctrl-C reaches the child as well
    if (result.status.signal != 0)
        throw EvaluationError(fmt::format("nix-instantiate was {}", result.status.to_string()));
    if (!result.status.success())
        throw EvaluationError(nix_error(result.err_tail, options_.nix.show_trace));
    return protocol::parse_json(result.out, "the evaluation's answer");
}

void Evaluator::say_once(std::string_view line) {
    const std::scoped_lock lock(saying_);
    if (lines_seen_.emplace(line).second) // processes of one hive print the same warnings
        on_line_(line);
}

void Evaluator::run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
                    const EvaluationEvents& events) {
    // Nix prints its result after it has evaluated everything, and prints none if a node fails. It prints traces at
    // once.
    const auto make_command = [&](std::span<const std::string> some, const std::string& marker) {
        Command evaluator = command(fmt::format(
            "let names = {}; values = {}; say = answer: let text = builtins.toJSON answer; "
            "in builtins.seq text (builtins.trace ({} + text)); "
            "tell = name: say {{ inherit name; value = values.${{name}}; }} null; "
            "common = (hive.common or (_: {{ nodes = [ ]; }})) names; " // missing in a hive of an older flake
            "ready = if common.nodes == [ ] then null "
            "else say {{ common = common.nodes; }} (builtins.seq common.ready (say {{ common = [ ]; }} null)); "
            "in builtins.seq ready (builtins.foldl' (_: tell) null names)",
            names_expression(some), value, nix_string(marker)));
        const std::optional<std::uint64_t> heap = first_heap_bytes(limits);
        if (heap && !std::getenv(heap_variable))
            evaluator.extra_environment[heap_variable] = std::to_string(*heap);
        return evaluator;
    };
    Schedule schedule(std::move(names), limits);
    run_workers(schedule, {.command = make_command, .show_trace = options_.nix.show_trace}, events, interrupt_);
}

void Evaluator::run(std::vector<std::string> names, const std::string& value, EvaluationLimits limits,
                    const std::function<void(const std::string&, const Json&)>& take,
                    std::map<std::string, std::string>& failures) {
    const size_t count = names.size();
    run(std::move(names), value, limits,
        {.begins = [](auto) {},
         .answered =
             [&](const std::string& name, const Json& json) {
                 try {
                     take(name, json);
                 } catch (const Error& error) { // a value that no module type could reject
                     failures[name] = error.what();
                 }
             },
         .failed = [&](const std::string& name, const std::string& message) { failures[name] = message; },
         .failed_together =
             [&](std::span<const std::string> some, const std::string& message) {
                 if (some.size() == count)
                     throw EvaluationError(message); // it concerns the whole hive
                 for (const std::string& name : some)
                     failures[name] = message;
             },
         .ended = [](auto) {},
         .line = [&](std::string_view line) { say_once(line); },
         .note = on_line_});
}

HiveInfo Evaluator::info() {
    const Json* known = cache_.find(info_member);
    const Json json = known ? *known : evaluate("hive.info");
    HiveInfo info = hive_info_from_json(json);
    if (!known)
        cache_.add(info_member, json);
    machines_file_ = info.machines_file;
    return info;
}

Evaluator::Deployments Evaluator::deployments(std::span<const std::string> names) {
    Deployments found;
    std::vector<std::string> unknown;
    for (const std::string& name : names) {
        if (const Json* known = cache_.find(deployment_member(name)))
            found.nodes[name] = deployment_options_from_json(*known);
        else
            unknown.push_back(name);
    }
    EvaluationLimits limits = options_.limits;
    limits.per_chunk = 0; // hundreds in one process cost less than a second process
    run(
        std::move(unknown), "hive.deployments names", limits,
        [&](const std::string& name, const Json& json) {
            found.nodes[name] = deployment_options_from_json(json);
            cache_.add(deployment_member(name), json);
        },
        found.failures);
    return found;
}

Evaluated<NodeAddress> Evaluator::addresses(std::span<const std::string> names) {
    std::map<std::string, NodeAddress> found;
    Evaluated<NodeAddress> all;
    std::vector<std::string> unknown;
    for (const std::string& name : names) {
        if (const Json* known = cache_.find(node_member(name)))
            found[name] = node_address_from_json(name, *known);
        else
            unknown.push_back(name);
    }
    run(
        std::move(unknown),
        "builtins.mapAttrs (_: n: { inherit (n) deployment hive node system operators; }) (hive.nodes names)",
        options_.limits,
        [&](const std::string& name, const Json& json) { found[name] = node_address_from_json(name, json); },
        all.failures);
    all.nodes = in_order(names, std::move(found));
    return all;
}

Evaluated<DeployedNode> Evaluator::keys(std::span<const std::string> names) {
    std::map<std::string, DeployedNode> found;
    Evaluated<DeployedNode> all;
    run(
        {names.begin(), names.end()}, "hive.keys names", options_.limits,
        [&](const std::string& name, const Json& json) { found[name] = deployed_node_from_json(name, json); },
        all.failures);
    all.nodes = in_order(names, std::move(found));
    return all;
}

EvaluatedKeyTexts Evaluator::key_texts(std::span<const std::string> names) {
    EvaluatedKeyTexts texts;
    read_key_texts(names, texts);
    return texts;
}

// Unlike the other answers, these do not pass through standard error, which is kept for messages and shown.
void Evaluator::read_key_texts(std::span<const std::string> names, EvaluatedKeyTexts& texts) {
    try {
        Json json = evaluate(fmt::format("hive.keyTexts {}", names_expression(names)));
        const WipeStrings wipe(json);
        for (const auto& [node, some] : json.items())
            texts.nodes[node] = key_texts_from_json(some);
    } catch (const EvaluationError& error) {
        if (names.size() == 1) {
            texts.failures[names.front()] = error.what();
            return;
        }
        read_key_texts(names.first(names.size() / 2), texts);
        read_key_texts(names.subspan(names.size() / 2), texts);
    }
}

Evaluated<EvaluatedNode> Evaluator::nodes(std::span<const std::string> names, const Progress& progress) {
    std::map<std::string, EvaluatedNode> found;
    std::map<std::string, std::string> failures;
    const auto told = [&](std::span<const std::string> some) {
        Evaluated<EvaluatedNode> chunk;
        for (const std::string& name : some) {
            if (const auto node = found.find(name); node != found.end())
                chunk.nodes.push_back(node->second);
        }
        progress.chunk_ended(chunk);
    };
    const auto failed = [&](const std::string& name, const std::string& message) {
        failures[name] = message;
        progress.chunk_ended({.nodes = {}, .failures = {{name, message}}});
    };

    // Nodes from the cache, if their derivations still exist.
    std::vector<nix::StorePath> drvs;
    for (const std::string& name : names) {
        const Json* known = cache_.find(node_member(name));
        if (known) {
            found.emplace(name, evaluated_node_from_json(name, *known));
            drvs.push_back(found.at(name).drv);
        }
    }
    if (!drvs.empty()) {
        const std::set<nix::StorePath> there = progress.keep(drvs);
        std::erase_if(found, [&](const auto& node) { return !there.contains(node.second.drv); });
    }
    std::vector<std::string> known, unknown;
    for (const std::string& name : names)
        (found.contains(name) ? known : unknown).push_back(name);
    if (!known.empty())
        told(known);

    run(std::move(unknown), "hive.nodes names", options_.limits,
        {.begins = progress.chunk_begins,
         .answered =
             [&](const std::string& name, const Json& json) {
                 try {
                     EvaluatedNode node = evaluated_node_from_json(name, json);
                     progress.keep(std::span(&node.drv, 1));
                     cache_.add(node_member(name), json);
                     found.insert_or_assign(name, std::move(node));
                 } catch (const protocol::BadDocument& error) { // a value that no module type could reject
                     failed(name, error.what());
                 } catch (const nix::BadStorePath& error) {
                     failed(name, error.what());
                 }
             },
         .failed = failed,
         .failed_together =
             [&](std::span<const std::string> some, const std::string& message) {
                 if (some.size() == names.size())
                     throw EvaluationError(message); // it concerns the whole hive
                 for (const std::string& name : some)
                     failed(name, message);
             },
         .ended = told,
         .line = [&](std::string_view line) { say_once(line); },
         .note = on_line_});
    return {.nodes = in_order(names, std::move(found)), .failures = std::move(failures)};
}

} // namespace waggle::trigger
