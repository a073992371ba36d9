#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/nix/store_path.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waggle::agent {

// deployment.healthChecks: what must hold on the node before it keeps a new system. They are part of the system itself,
// so that each system is checked by its own, including after a reboot or a rollback.
struct HealthCheck {
    std::string description;
    std::chrono::seconds period{2};    // between two tries
    std::chrono::seconds timeout{5};   // of one try
    std::chrono::seconds deadline{60}; // for all of them
    bool operator==(const HealthCheck&) const = default;
};
struct CommandCheck : HealthCheck {
    std::vector<std::string> command; // no shell
    bool operator==(const CommandCheck&) const = default;
};
struct HttpCheck : HealthCheck {
    std::string url; // http://127.0.0.1:8080/healthz
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<int> statuses; // any of these; empty: 200 to 299
    bool insecure = false;     // accepts any TLS certificate
    bool operator==(const HttpCheck&) const = default;
};
struct HealthChecks {
    std::vector<CommandCheck> commands;
    std::vector<HttpCheck> http;
    bool empty() const { return commands.empty() && http.empty(); }
    bool operator==(const HealthChecks&) const = default;
};

// TOPLEVEL/waggle-health-checks.json, as nixos-module/agent.nix writes it. A system without the file has none. Throws
// Error, naming the file and the field.
HealthChecks load_health_checks(const nix::StorePath& toplevel);
HealthChecks parse_health_checks(std::string_view text, std::string_view name_for_errors);

struct HealthVerdict {
    bool healthy = true;
    std::string problem; // "the check http://127.0.0.1:80/ has failed for 60 s: status 502 instead of 200"
};

// Runs the checks one after another, each until it succeeds or its deadline has passed, and stops at the first failure.
// Calls `say` for each check and each new reason of a failure. Throws Interrupted, but not for a failed check. Runs in
// transient units and not in the daemon, because a check may be any program.
HealthVerdict run_health_checks(const HealthChecks& checks, const std::function<void(std::string_view)>& say,
                                const Interrupt* interrupt = nullptr);

} // namespace waggle::agent
