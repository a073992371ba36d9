#include "agent/local_actions.hpp"

#include "agent/boot_watch.hpp"
#include "agent/config.hpp"
#include "agent/console.hpp"
#include "agent/health_check.hpp"
#include "agent/reboot.hpp"
#include "agent/retention.hpp"
#include "agent/systemctl.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fault.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

constexpr auto profile_timeout = 300s;
constexpr auto reboot_timeout = 60s; // until systemd has taken the request
constexpr auto start_pause = 1s;
constexpr int max_tries_to_start = 10;
constexpr size_t max_script_bytes = 64 << 20; // switch-to-configuration-ng is a program, the older one a script
// How the usage text of those begins that know `check`, NixOS's Perl, Rust and shell ones alike.
constexpr std::string_view usage_with_check = "[check|";

SystemActions::End run_child(const Command& command, std::chrono::seconds timeout) {
    try {
        Child child(command, {}); // its output goes where ours goes: to the journal
        const auto status = child.wait(deadline_in(timeout));
        return {status.signal == 0 ? std::optional(status.code) : std::nullopt, status.to_string()};
    } catch (const TimedOut&) {
        return {std::nullopt, fmt::format("it did not end within {} s and was killed", timeout.count())};
    } catch (const Error& error) {
        return {std::nullopt, error.what()};
    }
}

} // namespace

DeploymentRecord LocalActions::record() {
    auto record = state_.get().deployment;
    if (!record)
        throw Error("the record of the deployment is gone");
    return std::move(*record);
}

DeploymentRecord LocalActions::change(const std::function<void(DeploymentRecord&)>& edit) {
    auto state = state_.change([&](State& all) {
        if (!all.deployment)
            throw Error("the record of the deployment is gone");
        edit(*all.deployment);
    });
    return std::move(*state.deployment);
}

// Flushed at once: children write to the same stream.
void LocalActions::say(std::string_view line) {
    std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
}

bool LocalActions::has_check(const nix::StorePath& toplevel) {
    const auto program = switch_program(toplevel);
    // Where nixpkgs wraps the program, the wrapped one stands beside it under this name.
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
    return run_child(command, options.timeout);
}

// nix-env does not sync what it renames.
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
            say(fmt::format("let go of {} old generations (services.waggle-agent.keep = {})", drop.size(), *keep));
    } catch (const std::exception& error) {
        say(fmt::format("old generations stay: {}", error.what()));
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
        queue_job("restart", "waggle-agent.service");
        return {0, ""};
    } catch (const Error& error) {
        say(error.what());
        return {std::nullopt, error.what()};
    }
}

// After emergency mode default.target starts what it wants itself, but targets that stayed active keep what they lost:
// on a test node nix-daemon.socket stayed closed. While emergency mode still begins, systemd refuses.
void LocalActions::start_default_target() noexcept {
    std::vector<std::string> targets{"default.target", "basic.target",  "sysinit.target",
                                     "sockets.target", "timers.target", "paths.target"};
    for (int tries = 1;; ++tries) {
        std::string problem;
        std::erase_if(targets, [&](const std::string& target) {
            try {
                queue_job("start", target);
                return true;
            } catch (const std::exception& error) {
                problem = error.what();
                return false;
            }
        });
        if (targets.empty())
            return;
        if (tries == max_tries_to_start)
            return say(problem);
        std::this_thread::sleep_for(start_pause);
    }
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
            say(fmt::format("the watch over the boot was not removed: {}", error.what()));
        }
    };
    bool needed = true;
    part([&] { needed = watch.is_set() || unit_state(boot_watch_timer).loaded; }); // its file may be gone already
    if (!needed)
        return;
    part([] { stop_unit(boot_watch_timer); }); // of this boot
    part([&] { watch.remove(); });
    part([] { daemon_reload(); }); // forgets both units
}

bool LocalActions::needs_reboot(const nix::StorePath& toplevel) {
    return kernel_differs("/run/booted-system", toplevel.absolute());
}

} // namespace waggle::agent
