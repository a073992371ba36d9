#include "agent/daemon/facts.hpp"

#include "agent/secrets/installed.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds version_timeout{5}; // for the nix daemon's handshake

std::string nix_version_of(const Environment& environment) {
    try {
        return environment.open_store(version_timeout)->nix_version();
    } catch (const std::exception& error) {
        spdlog::warn("the nix daemon does not answer: {}", error.what());
        return "";
    }
}

std::vector<std::string> failed_units_of(const Host& host) {
    try {
        return host.failed_units();
    } catch (const std::exception& error) {
        spdlog::warn("which units have failed is unknown: {}", error.what());
        return {};
    }
}

// If the list is unreadable, assumes that secrets exist, so that a hive without secrets still removes them.
bool holds_secrets(const std::filesystem::path& state_dir) {
    try {
        return !InstalledList::load(state_dir).secrets().empty();
    } catch (const std::exception& error) {
        spdlog::warn("{}", error.what());
        return true;
    }
}

std::optional<std::string> absolute_of(const std::optional<nix::StorePath>& path) {
    return path ? std::optional(path->absolute()) : std::nullopt;
}

} // namespace

protocol::Facts gather_facts(const Environment& environment, const Deployments& deployments, int session_version) {
    const auto& host = environment.host;
    protocol::Facts facts;
    facts.version = session_version;
    facts.agent_version = WAGGLE_VERSION;
    facts.system = environment.self.system;
    facts.nix_version = nix_version_of(environment);
    facts.failed_units = failed_units_of(host);
    facts.current_system = absolute_of(host.current_system());
    facts.booted_system = absolute_of(host.booted_system());
    facts.profile = absolute_of(host.profile());
    if (const auto last = environment.state.get().last_admitted) {
        facts.last_sequence = last->sequence;
        facts.last_admitted = last->id;
    }
    facts.time = environment.clock();
    facts.boot_id = host.boot_id();
    facts.holds_secrets = holds_secrets(environment.state_dir);
    facts.running = deployments.running(); // at the end, because the nix daemon may have taken seconds to answer
    facts.awaits_confirmation = deployments.awaits_confirmation();
    return facts;
}

} // namespace waggle::agent
