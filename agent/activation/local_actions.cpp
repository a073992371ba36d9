#include "agent/activation/local_actions.hpp"

#include "agent/activation/descendants.hpp"
#include "agent/activation/pending_boot.hpp"
#include "agent/activation/switch_inhibitors.hpp"
#include "agent/activation/switch_lock.hpp"
#include "agent/activation/switched_units.hpp"
#include "agent/activation/unit_rules.hpp"
#include "agent/node/boot_watch.hpp"
#include "agent/node/config.hpp"
#include "agent/node/systemd.hpp"
#include "agent/node/unit_names.hpp"
#include "agent/state/retention.hpp"
#include "agent/units/health_check.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fault.hpp"
#include "shared/base/file.hpp"
#include "shared/base/line_splitter.hpp"
#include "shared/net/socket.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

constexpr auto profile_timeout = 300s;
constexpr auto kill_timeout = 10s;
constexpr auto reboot_timeout = 60s; // until systemd has accepted the request
constexpr auto start_pause = 1s;
constexpr auto lock_pause = 250ms;
constexpr auto settle_pause = 500ms;
constexpr auto agent_service = "waggle-agent.service";
constexpr auto agent_socket = "waggle-agent.socket";
constexpr auto socket_timeout = 10s; // the restarted agent gives its sessions 2 s to end
constexpr auto socket_pause = 20ms;
constexpr auto bus_timeout = 20s;
constexpr int max_tries_to_start = 10;
constexpr size_t max_unit_bytes = 1 << 20;
constexpr size_t max_script_bytes = 64 << 20; // switch-to-configuration-ng is a binary, the older one a script
// The actions in the usage text begin with this if switch-to-configuration supports `check`, in NixOS's Perl, Rust and
// shell versions alike.
constexpr std::string_view usage_with_check = "[check|";

SystemActions::End run_child(const Command& command, std::chrono::seconds timeout) {
    adopt_orphans();
    try {
        Child child(command, {}); // it inherits our output: the journal
        const auto status = child.wait(deadline_in(timeout));
        return {status.signal == 0 ? std::optional(status.code) : std::nullopt, status.to_string()};
    } catch (const TimedOut&) {
        // The processes that it has started would interfere with a rollback, and hold its lock.
        kill_descendants(deadline_in(kill_timeout));
        return {std::nullopt, fmt::format("it did not end within {} s and was killed", timeout.count()), true};
    } catch (const Error& error) {
        return {std::nullopt, error.what()};
    }
}

// Starts each unit, and retries those that could not be started until `gives_up` returns true. Returns the last
// problem, or an empty string if all were started.
std::string start_each(std::vector<std::string> units, const std::function<void(const std::string&)>& start,
                       const std::function<bool()>& gives_up) {
    while (true) {
        std::string problem;
        std::erase_if(units, [&](const std::string& unit) {
            try {
                start(unit);
                return true;
            } catch (const std::exception& error) {
                problem = error.what();
                return false;
            }
        });
        if (units.empty() || gives_up())
            return problem;
        std::this_thread::sleep_for(start_pause);
    }
}

std::optional<std::string> socket_unit_of(const std::optional<nix::StorePath>& system) {
    if (!system)
        return std::nullopt;
    return read_file_if_exists(system->absolute() + "/etc/systemd/system/waggle-agent.socket", max_unit_bytes);
}

// Whether the previous and the new system have different socket units for the agent.
bool sockets_differ(const DeploymentRecord& record) {
    return socket_unit_of(record.previous_system) != socket_unit_of(system_of(record));
}

} // namespace

DeploymentRecord LocalActions::record() {
    return state_.get().require_deployment();
}

DeploymentRecord LocalActions::change(const std::function<void(DeploymentRecord&)>& edit) {
    return state_.change([&](State& all) { edit(all.require_deployment()); }).require_deployment();
}

// Flushes at once, because children write to the same stream.
void LocalActions::say(std::string_view line) {
    std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
}

bool LocalActions::has_check(const nix::StorePath& toplevel) {
    const auto program = switch_program(toplevel);
    // If nixpkgs wraps the program, the wrapped one is in the same folder under this name.
    const auto wrapped = program.parent_path() / fmt::format(".{}-wrapped", program.filename().string());
    for (const auto& file : {program, wrapped}) {
        const auto text = read_file_if_exists(file, max_script_bytes);
        if (text && text->find(usage_with_check) != std::string::npos)
            return true;
    }
    return false;
}

SystemActions::End LocalActions::switch_to_configuration(const nix::StorePath& toplevel, std::string_view action,
                                                         const Switch& options) {
    Command command{.argv = {switch_program(toplevel).string(), std::string(action)}, .extra_environment = {}};
    if (options.no_check)
        command.extra_environment["NIXOS_NO_CHECK"] = "1";
    if (options.install_boot_loader)
        command.extra_environment["NIXOS_INSTALL_BOOTLOADER"] = "1";
    const auto deadline = deadline_in(options.timeout);
    while (true) {
        if (options.waits_for_lock)
            await_switch_lock(deadline);
        auto end = run_child(command, options.timeout);
        // Another process may have taken the lock first.
        if (!options.waits_for_lock || end.code != switch_lock_taken || std::chrono::steady_clock::now() >= deadline)
            return end;
        std::this_thread::sleep_for(lock_pause);
    }
}

void LocalActions::await_switch_lock(Deadline deadline) {
    std::string said;
    while (const auto holder = holder_of_switch_lock()) {
        if (*holder != said)
            say(fmt::format("waiting for {}, which is switching this node to a configuration", *holder));
        said = *holder;
        if (std::chrono::steady_clock::now() >= deadline)
            return;
        std::this_thread::sleep_for(lock_pause);
    }
}

std::optional<std::string> LocalActions::switch_lock_holder() {
    return holder_of_switch_lock();
}

std::string LocalActions::changed_inhibitors(const nix::StorePath& toplevel) noexcept {
    try {
        return describe_changed_inhibitors("/run/current-system", toplevel.absolute());
    } catch (const std::exception& error) {
        say(fmt::format("the switch inhibitors were not compared: {}", error.what()));
        return "";
    }
}

FailedUnits LocalActions::failed_units(Deadline until) {
    const auto record = this->record();
    if (!system_of(record)) // the deployment has secrets only
        return {};
    const auto& system = *system_of(record);
    const SwitchedUnits switched(record.previous_system, system, units_before_, record.failed_units);
    const auto rules = load_unit_rules(system);
    const auto look = [&] {
        std::vector<FailedUnit> failed;
        for (const auto& unit : agent::failed_units())
            if (!is_transient_service(unit.name))
                failed.push_back(switched.describe(unit));
        return find_blame(failed, rules.ignored);
    };
    return watch_units({.look = look,
                        .any_may_fail = [&] { return switched.any_may_fail(unit_invocations()); },
                        .is_over = [&] { return std::chrono::steady_clock::now() >= until; },
                        .pause = [] { std::this_thread::sleep_for(settle_pause); }});
}

std::chrono::milliseconds LocalActions::settle_time() {
    return load_unit_rules(*system_of(record())).settle_time;
}

void LocalActions::say_log_of(const std::string& unit) noexcept {
    try {
        say(fmt::format("last lines of {}:", unit));
        LineSplitter lines([&](std::string_view line) { say(fmt::format("  {}", line)); });
        lines.feed(log_of_unit(unit));
    } catch (const std::exception& error) {
        say(fmt::format("the log of {} was not read: {}", unit, error.what()));
    }
}

void LocalActions::pause(std::chrono::seconds duration) {
    std::this_thread::sleep_for(duration);
}

// Syncs the profile's folder, because nix-env does not sync what it renames.
SystemActions::End LocalActions::set_profile(const nix::StorePath& toplevel) {
    FaultPoint fault(system_profile);
    fault.at(FaultPoint::Moment::before);
    fault.will_change(system_profile);
    auto end = run_child(
        {.argv = {"nix-env", "--profile", system_profile, "--set", toplevel.absolute()}, .extra_environment = {}},
        profile_timeout);
    if (!end.success())
        return end;
    fault.at(FaultPoint::Moment::changed);
    if (fault.syncs())
        sync_folder(std::filesystem::path(system_profile).parent_path());
    fault.at(FaultPoint::Moment::after);
    return end;
}

void LocalActions::drop_old_generations(const DeploymentRecord& record) noexcept {
    try {
        const auto config = config_of_unit();
        const auto keep = config ? load_config(*config).keep_generations : std::nullopt;
        if (!keep)
            return;
        const std::filesystem::path folder = std::filesystem::path(system_profile).parent_path();
        std::vector<Generation> generations;
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            if (const auto number = generation_of_link(entry.path().filename().string()))
                generations.push_back({*number, store_path_behind(entry.path())});
        std::set<nix::StorePath> needed;
        for (const auto& path : {host_.booted_system(), host_.current_system(), host_.profile(), record.toplevel,
                                 record.previous_system, record.previous_profile})
            if (path)
                needed.insert(*path);
        const auto drop = generations_to_drop(generations, *keep, needed);
        for (const auto number : drop)
            remove_file(folder / fmt::format("system-{}-link", number));
        if (!drop.empty())
            say(fmt::format("deleted {} old generations (services.waggle-agent.keep = {})", drop.size(), *keep));
    } catch (const std::exception& error) {
        say(fmt::format("old generations were not deleted: {}", error.what()));
    }
}

void LocalActions::restore_profile_link(const std::string& link) {
    if (link.empty())
        remove_file(system_profile);
    else
        replace_link(system_profile, link);
}

std::optional<std::string> LocalActions::health_problem() {
    const auto checks = load_health_checks(*system_of(record()));
    const auto verdict = run_health_checks(checks, [this](std::string_view line) { say(line); });
    return verdict.healthy ? std::nullopt : std::optional(verdict.problem);
}

void LocalActions::disarm_activation_timer() noexcept {
    try {
        units_.disarm_activation_timer();
    } catch (const std::exception& error) {
        say(fmt::format("the timer of the activation was not stopped: {}", error.what()));
    }
}

void LocalActions::disarm() noexcept {
    try {
        units_.disarm();
    } catch (const std::exception& error) {
        say(fmt::format("the rollback timers were not stopped: {}", error.what()));
    }
}

SystemActions::End LocalActions::restart_agent() {
    try {
        const auto record = state_.get().deployment;
        if (record && sockets_differ(*record))
            restart_agent_with_socket();
        else
            queue_job(UnitJob::restart, agent_service); // its socket stays open, so the port is never free
        return {0, ""};
    } catch (const Error& error) {
        say(error.what());
        return {std::nullopt, error.what()};
    }
}

// systemd does not start a socket whose service is running. So this stops the socket first, and the restart of the
// service starts it in between. This process holds the port meanwhile.
void LocalActions::restart_agent_with_socket() {
    Fd held;
    const auto config = config_of_unit();
    try {
        if (config)
            held = net::hold_port(load_config(*config).port);
    } catch (const Error& error) {
        say(fmt::format("the agent's port is not held while its socket is replaced: {}", error.what()));
    }
    const auto started_before = unit_state(agent_service).started;
    stop_unit(agent_socket);
    queue_job(UnitJob::restart, agent_service);
    const auto is_taken_over = [&] { // by the socket unit, or by the agent itself
        if (const auto socket = unit_state(agent_socket); socket.loaded)
            return socket.is_running();
        const auto service = unit_state(agent_service);
        return service.active == "active" && service.started != started_before;
    };
    for (const auto deadline = deadline_in(socket_timeout);
         held && !is_taken_over() && std::chrono::steady_clock::now() < deadline;)
        std::this_thread::sleep_for(socket_pause);
}

// Starts these units without their dependencies. Those lead through sysinit.target to the file system that caused
// emergency mode, which would fail again and stop all of this again. switch-to-configuration queries the two daemons,
// and the bus would start them with their dependencies. systemd refuses while emergency mode is still starting.
void LocalActions::start_bus() noexcept {
    std::vector<std::string> units{"dbus.socket", "dbus.service"};
    try {
        const auto states = unit_states({"emergency.target", "dbus.socket"});
        if (states[0].is_running() || (states[1].loaded && !states[1].is_running()))
            units.insert(units.end(), {"systemd-logind.service", "systemd-machined.service"});
    } catch (const std::exception& error) {
        say(fmt::format("it is unknown whether the node is in emergency mode: {}", error.what()));
    }
    const auto start = [](const std::string& unit) {
        if (unit_state(unit).loaded)
            start_alone(unit);
    };
    const auto is_late = [deadline = deadline_in(bus_timeout)] { return std::chrono::steady_clock::now() >= deadline; };
    if (const auto problem = start_each(std::move(units), start, is_late); !problem.empty())
        say(fmt::format("the system bus may be down: {}", problem));
}

// After emergency mode, default.target starts the units that it wants itself. A target that stayed active does not
// start again what it has lost: on a test node, nix-daemon.socket stayed closed. systemd refuses while emergency mode
// is still starting.
void LocalActions::start_default_target() noexcept {
    const auto start = [](const std::string& target) { queue_job(UnitJob::start, target); };
    const auto was_last = [tries = 0]() mutable { return ++tries == max_tries_to_start; };
    const auto problem = start_each(
        {"default.target", "basic.target", "sysinit.target", "sockets.target", "timers.target", "paths.target"}, start,
        was_last);
    if (!problem.empty())
        say(problem);
}

void LocalActions::reboot() {
    const auto end = run_child({.argv = {"systemctl", "reboot"}, .extra_environment = {}}, reboot_timeout);
    if (end.success())
        return;
    say(fmt::format("systemctl reboot: {}; rebooting without stopping what runs", end.text));
    const auto forced =
        run_child({.argv = {"systemctl", "--force", "reboot"}, .extra_environment = {}}, reboot_timeout);
    if (!forced.success())
        say(fmt::format("systemctl --force reboot: {}", forced.text));
}

BootLoader& LocalActions::boot_loader() {
    if (!boot_loader_)
        boot_loader_ = find_boot_loader();
    return *boot_loader_;
}

void LocalActions::set_boot_watch(const DeploymentRecord& record) {
    const char* path = std::getenv("PATH");
    BootWatch().set(record, state_.folder(), path == nullptr ? "" : path);
}

void LocalActions::remove_boot_watch() noexcept {
    const BootWatch watch;
    const auto part = [&](const auto& remove) {
        try {
            remove();
        } catch (const std::exception& error) {
            say(fmt::format("could not remove the boot watchdog: {}", error.what()));
        }
    };
    bool needed = true;
    part([&] { needed = watch.is_set() || unit_state(boot_watch_timer).loaded; }); // its file may be gone already
    if (!needed)
        return;
    part([] { stop_unit(boot_watch_timer); }); // the timer of this boot
    part([&] { watch.remove(); });
    part([] { daemon_reload(); }); // makes systemd forget both units
}

bool LocalActions::needs_reboot(const nix::StorePath& toplevel) {
    return kernel_differs("/run/booted-system", toplevel.absolute());
}

} // namespace waggle::agent
