#include "trigger/command/eval.hpp"

#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "trigger/command/opened_hive.hpp"
#include "trigger/command/result.hpp"
#include "trigger/eval/evaluate.hpp"
#include "trigger/hive/nix_error.hpp"
#include "trigger/hive/nix_string.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <sstream>

namespace waggle::trigger {

namespace {

constexpr auto instantiation_time = std::chrono::minutes(60);
constexpr size_t max_expression_bytes = 64 << 10; // it becomes one argument of a command line

void check(const EvalOptions& options) {
    if (options.expression && options.file)
        throw Error("`waggle eval` takes an expression (-E) or a file, not both");
    if (!options.expression && !options.file)
        throw Error("`waggle eval` needs a function of { pkgs, lib, nodes }: after -E, or in a file");
    if (options.file && !std::filesystem::exists(*options.file))
        throw Error(fmt::format("there is no file {}; pass an expression with -E", options.file->string()));
}

// A pure evaluation cannot import a file of this machine, so the expression itself is passed.
std::string function_of(const EvalOptions& options, bool pure) {
    if (options.file && !pure)
        return fmt::format("(import {})", nix_string(std::filesystem::canonical(*options.file).string()));
    return fmt::format("(\n{}\n)", options.file
                                       ? read_file(*options.file, max_expression_bytes) // it may end in a comment
                                       : *options.expression);
}

} // namespace

int eval(const GlobalOptions& global, const EvalOptions& options, const Interrupt& interrupt) {
    check(options);
    GlobalOptions verbose = global;
    verbose.verbose = true;
    std::unique_ptr<Reporter> reporter = make_reporter(verbose);
    OpenedHive hive(global, SelectOptions(), interrupt, *reporter);
    Evaluator& evaluator = hive.evaluator();
    const bool pure = hive.source().lock.has_value();
    const std::string expression = fmt::format("hive.introspect {}", function_of(options, pure));
    if (!options.instantiate) {
        const protocol::Json value = evaluator.evaluate(expression);
        if (global.json)
            return print_json_result("eval", {}, {}, {{"value", value}});
        fmt::print("{}\n", protocol::dump_json(value));
        return 0;
    }
    Command command = evaluator.command(expression, Evaluator::Mode::instantiate);
    command.argv.emplace_back("--no-gc-warning");
    const RunResult result =
        run(command, {.deadline = deadline_in(instantiation_time), .on_stderr_line = {}, .interrupt = &interrupt});
    interrupt.check();
    if (!result.status.success())
        throw EvaluationError(nix_error(result.err_tail, global.nix.show_trace));
    if (global.json) {
        protocol::Json derivations = protocol::Json::array();
        std::istringstream lines(result.out);
        for (std::string line; std::getline(lines, line);)
            derivations.push_back(line);
        return print_json_result("eval", {}, {}, {{"derivations", derivations}});
    }
    fmt::print("{}", result.out);
    return 0;
}

Subcommand eval_subcommand(CLI::App& waggle) {
    const auto options = std::make_shared<EvalOptions>();
    CLI::App& app = add_subcommand(waggle, "eval", group::hive,
                                   "Evaluate a function of { pkgs, lib, nodes } and print its result as JSON");
    app.alias("introspect");
    app.add_option("-E,--expr", options->expression,
                   "The function, such as { nodes, ... }: nodes.a.config.networking.hostName")
        ->type_name("EXPR");
    app.add_option("file", options->file, "A file with the function")->type_name("FILE");
    app.add_flag("--instantiate", options->instantiate, "Instantiate the resulting derivations and print their paths");
    return make_subcommand(app, options, eval);
}

} // namespace waggle::trigger
