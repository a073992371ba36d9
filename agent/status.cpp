#include "agent/status.hpp"

#include "agent/config.hpp"
#include "agent/host.hpp"
#include "agent/state.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <iterator>

namespace waggle::agent {

namespace {

constexpr auto unit_file = "/etc/systemd/system/waggle-agent.service";
constexpr auto default_state_dir = "/var/lib/waggle-agent";
constexpr size_t max_unit_bytes = 1 << 20;

// The file after --config in the unit's ExecStart=.
std::optional<std::filesystem::path> config_of_unit() {
    constexpr std::string_view option = "--config ";
    const auto unit = read_file_if_exists(unit_file, max_unit_bytes);
    if (!unit)
        return std::nullopt;
    const auto start = unit->find(option);
    if (start == std::string::npos)
        return std::nullopt;
    const auto from = start + option.size();
    return unit->substr(from, unit->find_first_of(" \n", from) - from);
}

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
    for (const auto& key : config.operators)
        lines.add("operator", key.fingerprint());
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
    if (config_file) {
        try {
            const auto config = load_config(*config_file);
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

    const StateKeeper state(state_dir.value_or(default_state_dir));
    if (state.condition() == StateKeeper::Condition::corrupt)
        lines.add("state",
                  fmt::format("{}; to start anew, stop the agent and move {} away: the next deployment is then "
                              "admitted without a look at earlier ones",
                              state.problem(), StateKeeper::file_in(state_dir.value_or(default_state_dir)).string()));
    else if (const auto record = state.get().deployment)
        describe(lines, *record);
    else
        lines.add("last deployment", "none");
    return lines.text();
}

} // namespace waggle::agent
