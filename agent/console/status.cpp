#include "agent/console/status.hpp"

#include "agent/console/console.hpp"
#include "agent/node/config.hpp"
#include "agent/node/host.hpp"
#include "agent/node/operators.hpp"
#include "agent/state/archive.hpp"
#include "agent/state/state.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace waggle::agent {

namespace {

class Lines {
public:
    void add(std::string_view name, std::string_view value) {
        fmt::format_to(std::back_inserter(text_), "{:<16}{}\n", name, value);
    }
    void add(std::string_view name, const std::optional<nix::StorePath>& path) {
        add(name, path ? path->absolute() : std::string("none"));
    }
    std::string text() { return std::move(text_); }

private:
    std::string text_;
};

void describe(Lines& lines, const Config& config) {
    lines.add("hive", config.hive);
    lines.add("node", config.node);
    lines.add("port", fmt::format("{}", config.port));
}

void describe(Lines& lines, const OperatorList& operators) {
    for (const auto& key : operators.current)
        lines.add("operator", key.fingerprint());
    for (const auto& key : operators.removed)
        lines.add("removed", key.fingerprint());
}

void describe(Lines& lines, const DeploymentRecord& record) {
    lines.add("last deployment", record.id.brief());
    lines.add("  goal", to_string(record.goal));
    if (record.toplevel)
        lines.add("  toplevel", record.toplevel->absolute());
    lines.add("  state", fmt::format("{} since {}", to_string(record.state), to_rfc3339(record.since)));
    lines.add("  outcome", record.outcome ? to_string(*record.outcome) : "none yet");
    if (!record.message.empty())
        lines.add("  why", record.message);
    if (record.generation)
        lines.add("  generation", fmt::format("{}", *record.generation));
    lines.add("  signed by", record.operator_key);
}

} // namespace

std::string describe_status(std::optional<std::filesystem::path> config_file,
                            std::optional<std::filesystem::path> state_dir) {
    Lines lines;
    lines.add("waggle-agent", WAGGLE_VERSION);
    if (!config_file)
        config_file = config_of_unit();
    std::vector<ssh::PublicKey> configured;
    if (config_file) {
        try {
            const auto config = load_config(*config_file);
            configured = config.operators;
            describe(lines, config);
            if (!state_dir)
                state_dir = config.state_dir;
        } catch (const Error& error) {
            lines.add("configuration", error.what());
        }
    }
    const LocalHost host;
    lines.add("current system", host.current_system());
    lines.add("booted system", host.booted_system());
    lines.add("profile", host.profile());
    if (const auto generation = host.profile_generation())
        lines.add("generation", fmt::format("{}", *generation));
    for (const auto& unit : host.failed_units())
        lines.add("failed unit", unit);

    const StateKeeper state(find_state_dir(state_dir));
    if (state.condition() == StateKeeper::Condition::corrupt)
        lines.add("state", fmt::format("{}; `waggle-agent reset-state` sets it aside: the next deployment is then "
                                       "admitted without comparison with earlier ones",
                                       state.problem()));
    describe(lines, operators_of(state.get(), configured));
    if (state.condition() == StateKeeper::Condition::corrupt)
        return lines.text();
    if (const auto record = state.get().deployment)
        describe(lines, *record);
    else
        lines.add("last deployment", "none");
    return lines.text();
}

std::string describe_history(const std::optional<std::filesystem::path>& state_dir) {
    const StateKeeper state(find_state_dir(state_dir));
    Archive archive(state.folder());
    auto entries = archive.history(Archive::max_entries);
    std::ranges::reverse(entries);
    std::string text;
    for (const auto& entry : entries)
        fmt::format_to(std::back_inserter(text), "{}  {}  {} of {}: {}{}{}  signed by {}{}\n", to_rfc3339(entry.ended),
                       entry.id.brief(), to_string(entry.goal), entry.toplevel, to_string(entry.outcome),
                       entry.generation ? fmt::format(", generation {}", *entry.generation) : "",
                       entry.message.empty() ? "" : fmt::format(" ({})", entry.message), entry.operator_key,
                       entry.git ? fmt::format(", git {}{}", entry.git->rev, entry.git->dirty ? " (dirty)" : "") : "");
    return text.empty() ? "nothing has been deployed to this node yet\n" : text;
}

} // namespace waggle::agent
