#include "trigger/command/opened_hive.hpp"

#include "trigger/command/evaluation_limits.hpp"
#include "trigger/eval/eval_key.hpp"
#include "trigger/hive/git_revision.hpp"
#include "trigger/hive/module_folder.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace waggle::trigger {

namespace {

EvalCache open_cache(const HiveSource& source, const NixOptions& nix, const SelectOptions& select,
                     const Interrupt& interrupt) {
    const std::optional<std::filesystem::path> folder = eval_cache_folder();
    if (!source.lock || !select.eval_cache || !folder)
        return {};
    const std::optional<std::string> key = eval_key(*source.lock, nix, nixos_module_folder(), interrupt);
    return key ? EvalCache(*folder, *key) : EvalCache();
}

Evaluator::OnLine as_notes(Reporter& reporter) {
    return [&reporter](std::string_view line) { reporter.note(line); };
}

} // namespace

OpenedHive::OpenedHive(const GlobalOptions& global, const SelectOptions& select, const Interrupt& interrupt,
                       Reporter& reporter)
    : reporter_(reporter), source_(open_hive(global.config, global.nix, interrupt, as_notes(reporter))),
      cache_(open_cache(source_, global.nix, select, interrupt)),
      evaluator_({.source = source_, .nix = global.nix, .limits = evaluation_limits(select)}, cache_, interrupt,
                 as_notes(reporter)) {
    const auto began = std::chrono::steady_clock::now();
    if (!source_.keep.empty())
        derivations_.keep(source_.keep);
    info_ = evaluator_.info();
    if (info_.nodes.empty())
        throw Error(fmt::format("the hive {} has no nodes", source_.shown));
    evaluation_time_ = std::chrono::steady_clock::now() - began;
}

OpenedHive::~OpenedHive() {
    cache_.save();
}

std::optional<protocol::GitRevision> OpenedHive::git() const {
    if (source_.git)
        return source_.git;
    return git_revision(source_.folder, as_notes(reporter_));
}

} // namespace waggle::trigger
