#include "agent/daemon.hpp"

#include "agent/archive.hpp"
#include "agent/config.hpp"
#include "agent/deployments.hpp"
#include "agent/health_unit.hpp"
#include "agent/host.hpp"
#include "agent/identity.hpp"
#include "agent/life_units.hpp"
#include "agent/notify.hpp"
#include "agent/secrets/secrets_unit.hpp"
#include "agent/session.hpp"
#include "agent/signals.hpp"
#include "agent/state.hpp"
#include "agent/store.hpp"
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
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::agent {

namespace {

constexpr auto unit_file = "/etc/systemd/system/waggle-agent.service";
constexpr std::chrono::seconds departure_time{2};

// Where the unit's file really is: another place in the store when a new system changed it or the configuration it
// names.
std::string unit_in_store() {
    std::error_code error;
    return std::filesystem::canonical(unit_file, error).string();
}

// Ends the daemon when a committed system wants another one, as soon as nobody needs this one: systemd starts the next.
class Succession {
public:
    explicit Succession(Interrupt& stop) : stop_(stop), own_unit_(unit_in_store()) {}

    // A session keeps the agent while it lives.
    class Guest {
    public:
        explicit Guest(Succession& succession) : succession_(succession) { ++succession_.sessions_; }
        ~Guest() {
            --succession_.sessions_;
            succession_.look();
        }
        Guest(const Guest&) = delete;
        Guest& operator=(const Guest&) = delete;

    private:
        Succession& succession_;
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
        spdlog::info("the committed system has another agent unit; making room for it");
        stop_.request();
    }

    // Gives triggers the time to hear how a deployment ended, and to leave.
    void await_departures() const {
        constexpr std::chrono::milliseconds glance{20};
        const auto deadline = deadline_in(departure_time);
        while (sessions_ > 0 && !deployments_->busy() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(glance);
    }

private:
    // What a goal `test` brought is not yet who this node listens to.
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

void wait_for(const Interrupt& interrupt, std::chrono::milliseconds at_most) {
    pollfd fd{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
    ::poll(&fd, 1, static_cast<int>(at_most.count()));
    interrupt.check();
}

// An address or interface may come later than we do: the unit only wants the network, it does not wait for it.
std::unique_ptr<net::Server> listen(const Config& config, const ssh::PrivateKey& identity,
                                    const Deployments& deployments, const net::Server::Handler& handler,
                                    const Interrupt& interrupt) {
    net::ServerOptions options;
    options.listen = config.listen;
    options.port = config.port;
    options.max_connections = config.settings.max_connections;
    options.max_connections_per_address = config.settings.max_connections_per_address;
    std::chrono::milliseconds pause{250};
    while (true) {
        try {
            return std::make_unique<net::Server>(
                options, identity,
                net::SessionPolicy{config.hive, config.node, [&deployments] { return deployments.operators(); }},
                handler);
        } catch (const Error& error) {
            spdlog::error("{}; trying again in {} s", error.what(), static_cast<double>(pause.count()) / 1000);
        }
        wait_for(interrupt, pause);
        pause = std::min(2 * pause, std::chrono::milliseconds(30'000));
    }
}

// A moment later, so that the trigger hears of it first, and systemd has answered before it goes down.
void ask_for_reboot() {
    RunOptions options;
    options.deadline = deadline_in(std::chrono::seconds(30));
    const auto result = run({.argv = {"systemd-run", "--quiet", "--collect", "--on-active=1s",
                                      "--timer-property=AccuracySec=100ms", "systemctl", "reboot"},
                             .extra_environment = {}},
                            options);
    if (!result.status.success())
        throw Error("systemctl reboot: " + result.err_tail);
}

// Who is in the configuration that runs (an older generation, or one that no deployment committed) and yet no operator.
void warn_of_strangers(const Config& config, const Deployments& deployments) {
    const auto operators = deployments.operators();
    for (const auto& key : config.operators)
        if (std::ranges::find(operators, key) == operators.end())
            spdlog::warn("{} is in the configuration of this system, but not of the one that was committed last: no "
                         "operator; `waggle-agent adopt` at the console changes that",
                         key.fingerprint());
}

void serve(const Config& config, const std::filesystem::path& config_file, Interrupt& stop) {
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
    World world{.host = host,
                .units = units,
                .state = state,
                .open_store = connect_to_nix_daemon,
                .clock = now,
                .state_dir = config.state_dir,
                .archive = &archive,
                .check_health = check_health_in_unit,
                .reboot = ask_for_reboot,
                .report_secrets = report_secrets_in_unit,
                .config_file = config_file};
    Succession succession(stop);
    Deployments deployments({config.hive, config.node, config.system, identity.public_key()}, config.operators, world,
                            [&] { succession.look(); });
    succession.watch(deployments, state);
    deployments.resume();

    const auto handler = [&](net::Session session) {
        const Succession::Guest guest(succession);
        spdlog::info("session with {} ({})", session.connection->peer(), session.operator_key.fingerprint());
        serve_session({.connection = *session.connection,
                       .hello_time = session.hello_time,
                       .version = session.version,
                       .operator_key = session.operator_key,
                       .exporter = session.exporter},
                      deployments);
    };
    const auto server =
        listen(config, identity, deployments, handler, stop); // gone first: sessions end before what they use
    spdlog::info("{} of {} listens on port {}, key {}, {} operators", config.node, config.hive, server->port(),
                 identity.public_key().fingerprint(), deployments.operators().size());
    warn_of_strangers(config, deployments);
    notify_service_manager("READY=1");
    pollfd fd{.fd = stop.fd(), .events = POLLIN, .revents = 0};
    // Once a day it is looked whether something in the store was kept for long enough.
    int ready = 0;
    do {
        if (ready == 0)
            deployments.tidy();
        ready = ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(std::chrono::days(1)).count()));
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    notify_service_manager("STOPPING=1");
    deployments.stop();
    succession.await_departures();
}

} // namespace

int run_daemon(const std::filesystem::path& config_file) {
#ifdef __GLIBC__
    ::mallopt(M_ARENA_MAX, 1); // a few threads that seldom allocate: one heap is smaller than one each
#endif
    const auto config = load_config(config_file);
    set_up_log(config.settings.log_level);
    Interrupt stop;
    const StopSignals signals(stop);
    try {
        serve(config, config_file, stop);
    } catch (const Interrupted&) {
        spdlog::debug("asked to stop while something was awaited");
    }
    spdlog::info("stopping");
    return 0;
}

} // namespace waggle::agent
