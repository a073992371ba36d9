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

// deployment.healthChecks: what must hold on the node before a new system is kept. They are part of the system itself,
// so that each system is held against its own, also the one that runs after a reboot or is gone back to.
struct HealthCheck {
    std::string description;
    std::chrono::seconds period{2};    // between the end of a try and the next one
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
    std::vector<int> statuses; // any of these; none: 200 to 299
    bool insecure = false;     // takes any TLS certificate
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
    std::string problem; // "the http check http://127.0.0.1:80/ fails for 60 s: status 502 instead of 200"
};

// Runs the checks one after another, each until it succeeds or its deadline is over; the first that does not ends it.
// `say` gets a line for each check and each new reason of its failing. Never throws for a check that fails; throws
// Interrupted. For transient units, not for the daemon: a check may be any program.
HealthVerdict run_health_checks(const HealthChecks& checks, const std::function<void(std::string_view)>& say,
                                const Interrupt* interrupt = nullptr);

} // namespace waggle::agent
