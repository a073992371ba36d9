#include "agent/daemon/daemon.hpp"

#include "agent/daemon/deployments.hpp"
#include "agent/daemon/environment.hpp"
#include "agent/daemon/housekeeping.hpp"
#include "agent/daemon/listening_sockets.hpp"
#include "agent/daemon/notify.hpp"
#include "agent/daemon/session.hpp"
#include "agent/daemon/signals.hpp"
#include "agent/node/config.hpp"
#include "agent/node/host.hpp"
#include "agent/node/identity.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/archive.hpp"
#include "agent/state/state.hpp"
#include "agent/units/health_unit.hpp"
#include "agent/units/sandbox.hpp"
#include "agent/units/secrets_unit.hpp"
#include "agent/units/transient_units.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/log.hpp"
#include "shared/base/process.hpp"
#include "shared/net/server.hpp"

#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::agent {

namespace {

constexpr auto unit_file = "/etc/systemd/system/waggle-agent.service";
constexpr std::chrono::seconds departure_time{2};

// The store path of the unit's file. It differs if a new system has changed the file or the configuration that it
// names.
std::string unit_in_store() {
    std::error_code error;
    return std::filesystem::canonical(unit_file, error).string();
}

// Ends the daemon when a committed system has a different agent unit, as soon as no session or deployment needs this
// one. systemd then starts the next one.
class AgentReplacement {
public:
    explicit AgentReplacement(Interrupt& stop) : stop_(stop), own_unit_(unit_in_store()) {}

    // Keeps the agent running as long as a session exists.
    class SessionGuard {
    public:
        explicit SessionGuard(AgentReplacement& succession) : succession_(succession) { ++succession_.sessions_; }
        ~SessionGuard() {
            --succession_.sessions_;
            succession_.look();
        }
        SessionGuard(const SessionGuard&) = delete;
        SessionGuard& operator=(const SessionGuard&) = delete;

    private:
        AgentReplacement& succession_;
    };

    void watch(const Deployments& deployments, const StateKeeper& state) {
        const std::lock_guard lock(mutex_);
        deployments_ = &deployments;
        state_ = &state;
    }

    void look() {
        const std::lock_guard lock(mutex_);
        if (deployments_ == nullptr || sessions_ > 0 || deployments_->busy() || !committed() ||
            unit_in_store() == own_unit_)
            return;
        spdlog::info("the new system ships a different agent unit; restarting into it");
        stop_.request();
    }

    // Gives triggers time to receive a deployment's result and to disconnect.
    void await_departures() const {
        constexpr std::chrono::milliseconds glance{20};
        const auto deadline = deadline_in(departure_time);
        while (sessions_ > 0 && !deployments_->busy() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(glance);
    }

private:
    // A system of goal `test` is not committed, so its agent and operators do not count yet.
    bool committed() const {
        const auto record = state_->get().deployment;
        return record && record->state == protocol::DeploymentState::committed;
    }

    Interrupt& stop_;
    const std::string own_unit_;
    std::atomic<int> sessions_ = 0;
    std::mutex mutex_;
    const Deployments* deployments_ = nullptr;
    const StateKeeper* state_ = nullptr;
};

std::unique_ptr<net::Server> start_server(std::vector<net::Listener> listeners, const Config& config,
                                          const ssh::PrivateKey& identity, const Deployments& deployments,
                                          const net::Server::Handler& handler) {
    net::ServerOptions options;
    options.max_connections = config.settings.max_connections;
    options.max_connections_per_address = config.settings.max_connections_per_address;
    return std::make_unique<net::Server>(
        std::move(listeners), options, identity,
        net::SessionPolicy{config.hive, config.node, [&deployments] { return deployments.operators(); }}, handler);
}

// Whether the next agent, which belongs to the running system, listens on other addresses or another port.
bool listens_elsewhere_next(const Config& config) {
    try {
        const auto file = config_of_unit(unit_file);
        if (!file)
            return true;
        const auto next = load_config(*file);
        return next.listen != config.listen || next.port != config.port;
    } catch (const std::exception& error) {
        spdlog::warn("the configuration of the next agent: {}", error.what());
        return false;
    }
}

// Schedules a reboot in a moment, so that the trigger receives the answer first, and systemd answers before it shuts
// down.
void ask_for_reboot() {
    RunOptions options;
    options.deadline = deadline_in(std::chrono::seconds(30));
    std::vector<std::string> argv{"systemd-run", "--quiet", "--collect", "--on-active=1s",
                                  "--timer-property=AccuracySec=100ms"};
    std::ranges::copy(sandbox_options(UnitPurpose::ask_systemd), std::back_inserter(argv));
    argv.insert(argv.end(), {"systemctl", "reboot"});
    const auto result = run({.argv = std::move(argv), .extra_environment = {}}, options);
    if (!result.status.success())
        throw Error("systemctl reboot: " + result.err_tail);
}

// Warns about keys that are in the running configuration (an older generation, or one that no deployment committed) but
// are not operators.
void warn_about_unlisted_operators(const Config& config, const Deployments& deployments) {
    const auto operators = deployments.operators();
    for (const auto& key : config.operators)
        if (std::ranges::find(operators, key) == operators.end())
            spdlog::warn("{} is not an operator: this system's configuration names it, but that of the last committed "
                         "system does not; `waggle-agent adopt` at the console changes that",
                         key.fingerprint());
}

void serve(const Config& config, const std::filesystem::path& config_file, Interrupt& stop) {
    ListeningSockets sockets(config.listen, config.port); // before any child process could inherit them
    const auto identity = await_identity(config.identity_file, config.generate_identity, stop);
    make_folders(config.state_dir / "gcroots");
    remove_leftovers(config.state_dir / "gcroots");

    StateKeeper state(config.state_dir);
    if (state.condition() == StateKeeper::Condition::corrupt)
        spdlog::error("{}", state.problem());
    LocalHost host;
    SystemdUnits units(config.state_dir);
    Archive archive(config.state_dir);
    archive.remove_leftovers();
    Environment environment{.self = {config.hive, config.node, config.system, identity.public_key()},
                            .configured = config.operators,
                            .host = host,
                            .units = units,
                            .state = state,
                            .archive = archive,
                            .open_store = connect_to_nix_daemon,
                            .store_timeout = config.settings.store_timeout,
                            .clock = now,
                            .state_dir = config.state_dir,
                            .check_health = check_health_in_unit,
                            .reboot = ask_for_reboot,
                            .report_secrets = report_secrets_in_unit,
                            .config_file = config_file};
    AgentReplacement succession(stop);
    Deployments deployments(environment, [&] { succession.look(); });
    succession.watch(deployments, state);
    deployments.resume();

    const auto handler = [&](net::OperatorSession session) {
        const AgentReplacement::SessionGuard guest(succession);
        spdlog::info("session with {} ({})", session.connection->peer(), session.operator_key.fingerprint());
        serve_session({.connection = *session.connection,
                       .hello_time = session.hello_time,
                       .version = session.version,
                       .operator_key = session.operator_key,
                       .exporter = session.exporter},
                      environment, deployments);
    };
    const auto server = start_server(sockets.open(stop), config, identity, deployments,
                                     handler); // destroyed first, so that sessions end before what they use
    spdlog::info("{} of {} listens on port {}, key {}, {} operators", config.node, config.hive, server->port(),
                 identity.public_key().fingerprint(), deployments.operators().size());
    warn_about_unlisted_operators(config, deployments);
    notify_service_manager("READY=1");
    pollfd fd{.fd = stop.fd(), .events = POLLIN, .revents = 0};
    // Once a day, release GC roots whose retention has expired.
    int ready = 0;
    do {
        if (ready == 0 && !deployments.busy())
            release_expired_roots(environment);
        ready = ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(std::chrono::days(1)).count()));
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    notify_service_manager("STOPPING=1");
    if (listens_elsewhere_next(config))
        sockets.forget_stored();
    deployments.stop();
    succession.await_departures();
}

} // namespace

int run_daemon(const std::filesystem::path& config_file) {
#ifdef __GLIBC__
    ::mallopt(M_ARENA_MAX, 1); // few threads that seldom allocate: one heap takes less memory than one each
#endif
    const auto config = load_config(config_file);
    set_up_log(config.settings.log_level);
    Interrupt stop;
    const StopSignals signals(stop);
    try {
        serve(config, config_file, stop);
    } catch (const Interrupted&) {
        spdlog::debug("asked to stop while waiting");
    }
    spdlog::info("stopping");
    return 0;
}

} // namespace waggle::agent
