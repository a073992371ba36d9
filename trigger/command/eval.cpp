#include "trigger/command/eval.hpp"

#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "trigger/command/prepare.hpp"
#include "trigger/eval/evaluate.hpp"
#include "trigger/hive/nix_error.hpp"
#include "trigger/hive/nix_string.hpp"
#include "trigger/report/terminal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace waggle::trigger {

namespace {

constexpr auto instantiation_time = std::chrono::minutes(60);
constexpr size_t max_expression_bytes = 64 << 10; // for a word of a command line

void check(const EvalOptions& options) {
    if (options.expression && options.file)
        throw Error("`waggle eval` takes an expression (-E) or a file, not both");
    if (!options.expression && !options.file)
        throw Error("`waggle eval` needs a function of { pkgs, lib, nodes }: after -E, or in a file");
    if (options.file && !std::filesystem::exists(*options.file))
        throw Error(fmt::format("there is no file {}; an expression goes behind -E", options.file->string()));
}

// In a pure evaluation no file of this machine can be imported, so the expression itself is taken there.
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
    std::unique_ptr<Reporter> reporter = make_reporter(true, use_color(global.color, stderr_is_terminal()));
    const SelectOptions no_selection;
    Preparation preparation(global, no_selection, interrupt, *reporter);
    Evaluator& evaluator = preparation.evaluator();
    const bool pure = preparation.source().lock.has_value();
    const std::string expression = fmt::format("hive.introspect {}", function_of(options, pure));
    if (!options.instantiate) {
        fmt::print("{}\n", protocol::dump_json(evaluator.evaluate(expression)));
        return 0;
    }
    Command command = evaluator.command(expression, Evaluator::Mode::instantiate);
    command.argv.emplace_back("--no-gc-warning");
    const RunResult result =
        run(command, {.deadline = deadline_in(instantiation_time), .on_stderr_line = {}, .interrupt = &interrupt});
    interrupt.check();
    if (!result.status.success())
        throw EvaluationError(nix_error(result.err_tail, global.nix.show_trace));
    fmt::print("{}", result.out);
    return 0;
}

} // namespace waggle::trigger
