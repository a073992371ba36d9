// The real ActivationActions: child processes, the profile's links, the steps file.

#include "agent/activate.hpp"
#include "agent/activation.hpp"
#include "agent/host.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace waggle::agent {

namespace {

// Services may take long to stop and start; the unit's own deadline is the sum of a way there and a way back.
constexpr std::chrono::minutes switch_timeout{30};
constexpr std::chrono::minutes profile_timeout{5};
constexpr size_t max_script_bytes = 64 << 20; // switch-to-configuration-ng is a program, the older one a script
// How the usage text of those begins that know `check`, NixOS's Perl, Rust and shell ones alike.
constexpr std::string_view usage_with_check = "[check|";

class LocalActions : public ActivationActions {
public:
    explicit LocalActions(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

    std::optional<nix::StorePath> current_system() override { return host_.current_system(); }

    bool has_check(const nix::StorePath& toplevel) override {
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

    End switch_to_configuration(const nix::StorePath& toplevel, std::string_view action, bool no_check) override {
        Command command{.argv = {switch_program(toplevel).string(), std::string(action)}, .extra_environment = {}};
        if (no_check)
            command.extra_environment["NIXOS_NO_CHECK"] = "1";
        return run_child(command, switch_timeout);
    }

    std::string profile_link() override {
        const auto link = read_link(system_profile);
        return link ? link->string() : "";
    }

    End set_profile(const nix::StorePath& toplevel) override {
        return run_child(
            {.argv = {"nix-env", "--profile", system_profile, "--set", toplevel.absolute()}, .extra_environment = {}},
            profile_timeout);
    }

    void restore_profile_link(const std::string& link) override {
        if (profile_link() == link)
            return;
        if (link.empty()) {
            remove_file(system_profile);
            return;
        }
        const auto temporary = fmt::format("{}.waggle-tmp", system_profile);
        std::filesystem::remove(temporary);
        if (::symlink(link.c_str(), temporary.c_str()) != 0)
            throw SystemError(fmt::format("making the link {}", temporary));
        std::filesystem::rename(temporary, system_profile);
    }

    std::optional<std::uint64_t> generation() override { return host_.profile_generation(); }

    void report(const ActivationReport& report) override {
        write_file_atomically(steps_file(state_dir_, report.id), to_text(report), 0600);
    }

    // Flushed at once: children write to the same stream.
    void say(std::string_view line) override {
        std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
        std::fflush(stdout);
    }

private:
    static End run_child(const Command& command, std::chrono::minutes timeout) {
        try {
            Child child(command, {}); // its output goes where ours goes: to the journal
            const auto status = child.wait(deadline_in(timeout));
            return {status.signal == 0 ? std::optional(status.code) : std::nullopt, status.to_string()};
        } catch (const TimedOut&) {
            return {std::nullopt, fmt::format("it did not end within {} minutes and was killed", timeout.count())};
        } catch (const Error& error) {
            return {std::nullopt, error.what()};
        }
    }

    std::filesystem::path state_dir_;
    LocalHost host_;
};

} // namespace

int run_activation(const ActivationPlan& plan, const std::filesystem::path& state_dir) {
    LocalActions actions(state_dir);
    actions.say(begin_mark(plan.id));
    const auto report = activate(plan, actions);
    actions.report(report);
    actions.say(end_mark(plan.id));
    return protocol::exit_code(*report.outcome);
}

} // namespace waggle::agent
