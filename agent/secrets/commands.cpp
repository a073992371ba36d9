#include "agent/secrets/commands.hpp"

#include "agent/node/config.hpp"
#include "agent/node/host.hpp"
#include "agent/secrets/node_secrets.hpp"
#include "agent/secrets/wait_for_secret.hpp"
#include "shared/base/error.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds await_look{30}; // the watch wakes us; this only finds changes that it has missed

struct Options {
    std::string config;
    std::string system;
    std::string mount;
    std::string name;
    std::string stage = "boot";
    bool message = false;
};

const std::map<std::string, SecretStage> stage_words = {{"users", SecretStage::for_users},
                                                        {"owners", SecretStage::owners},
                                                        {"boot", SecretStage::boot},
                                                        {"mount", SecretStage::mount}};

NodeSecrets node_secrets(const Options& options) {
    guard_memory();
    const auto file = options.config.empty() ? config_of_unit() : std::filesystem::path(options.config);
    if (!file)
        throw Error("this node has no agent: name the configuration with --config FILE");
    return NodeSecrets(load_config(*file));
}

std::optional<nix::StorePath> running_system(const Options& options) {
    if (options.system.empty())
        return LocalHost().current_system();
    return nix::StorePath::parse_absolute(std::filesystem::canonical(options.system).string());
}

void say_all(const InstallOutcome& outcome) {
    for (const auto& name : outcome.written)
        std::printf("secret %s written\n", name.c_str());
    for (const auto& path : outcome.removed)
        std::printf("secret %s removed\n", path.c_str());
    for (const auto& sentence : outcome.waiting)
        std::printf("%s\n", sentence.c_str());
    for (const auto& sentence : outcome.problems)
        std::fprintf(stderr, "%s\n", sentence.c_str());
    std::fflush(stdout);
}

int install(const Options& options) {
    const auto secrets = node_secrets(options);
    const auto outcome = secrets.install(
        secrets.in_force(running_system(options)),
        {.stage = stage_words.at(options.stage), .mount = options.mount, .name = {}, .absent_mounts = {}});
    say_all(outcome);
    return outcome.problems.empty() ? 0 : 1;
}

// Wakes up when a deployment or an installation has made progress.
class ChangeWatch {
public:
    explicit ChangeWatch(const std::filesystem::path& state_dir) : watch_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        for (const auto& folder : {state_dir, state_dir / "secrets"})
            ::inotify_add_watch(watch_.get(), folder.c_str(), IN_MOVED_TO | IN_CREATE);
    }
    void wait() const {
        pollfd fd{.fd = watch_.get(), .events = POLLIN, .revents = 0};
        ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(await_look).count()));
        std::array<char, 4096> events;
        while (::read(watch_.get(), events.data(), events.size()) > 0) {
        }
    }

private:
    Fd watch_;
};

bool is_in_place(const NodeSecrets& secrets, const std::string& name) {
    for (const auto& status : secrets.report().secrets)
        if (status.name == name)
            return status.state == protocol::SecretStatus::State::in_place;
    return false;
}

int await(const Options& options) {
    const auto secrets = node_secrets(options);
    std::optional<ChangeWatch> watch;
    const auto look = [&] {
        watch.emplace(secrets.config().state_dir); // first, so that no change during the check is missed
        SecretLook found{.in_place = false,
                         .why = "it is not on this node; `waggle upload-keys` or a deployment sends it"};
        try {
            const auto outcome =
                secrets.install(secrets.in_force(LocalHost().current_system()),
                                {.stage = SecretStage::one, .mount = {}, .name = options.name, .absent_mounts = {}});
            found.in_place = is_in_place(secrets, options.name);
            for (const auto& sentence : outcome.problems)
                found.why = sentence;
            for (const auto& sentence : outcome.waiting)
                found.why = sentence;
        } catch (const Error& error) {
            found.why = error.what();
        }
        return found;
    };
    wait_for_secret(
        options.name,
        {.is_switching =
             [&] { return is_switching(StateKeeper(secrets.config().state_dir).get(), LocalHost().boot_id()); },
         .look = look,
         .wait = [&] { watch->wait(); },
         .say =
             [](std::string_view sentence) {
                 std::printf("%.*s\n", static_cast<int>(sentence.size()), sentence.data());
                 std::fflush(stdout);
             }});
    return 0;
}

int list(const Options& options) {
    const auto report = node_secrets(options).report();
    if (options.message) {
        const auto message = protocol::encode(report);
        std::fwrite(message.data(), 1, message.size(), stdout);
        return 0;
    }
    if (!report.problem.empty())
        std::fprintf(stderr, "%s\n", report.problem.c_str());
    for (const auto& secret : report.secrets)
        std::printf("%-24s %-10s %-20s %-5s %s%s%s\n", secret.name.c_str(),
                    std::string(to_string(secret.state)).c_str(), secret.owner.c_str(), secret.mode.c_str(),
                    secret.path.c_str(), secret.note.empty() ? "" : "  ", secret.note.c_str());
    return report.problem.empty() ? 0 : 1;
}

// Adds a subcommand that runs `part` with the options that it and the caller give it.
CLI::App* add_command(CLI::App& app, std::function<int()>& chosen, const std::shared_ptr<Options>& options,
                      const char* name, const char* description, int (*part)(const Options&)) {
    auto* command = app.add_subcommand(name, description);
    command->add_option("--config", options->config, config_help)->type_name("FILE");
    command->callback([&chosen, options, part] { chosen = [options, part] { return part(*options); }; });
    return command;
}

} // namespace

CLI::App* add_install_secrets(CLI::App& app, std::function<int()>& chosen) {
    const auto options = std::make_shared<Options>();
    auto* command = add_command(app, chosen, options, "install-secrets",
                                "Put this node's secrets in their places, as at boot", install);
    command->add_option("--stage", options->stage, "users, owners, boot or mount (default: boot)")
        ->type_name("STAGE")
        ->check(CLI::IsMember(stage_words));
    command->add_option("--mount", options->mount, "The file system that was mounted (with --stage mount)")
        ->type_name("FOLDER");
    command->add_option("--system", options->system, "The system that boots (default: /run/current-system)")
        ->type_name("SYSTEM");
    return command;
}

CLI::App* add_secrets(CLI::App& app, std::function<int()>& chosen) {
    const auto options = std::make_shared<Options>();
    auto* command = add_command(app, chosen, options, "secrets",
                                "Show the status of this node's secrets (never their contents)", list);
    command->add_flag("--message", options->message)->group("");
    return command;
}

CLI::App* add_await_secret(CLI::App& app, std::function<int()>& chosen) {
    const auto options = std::make_shared<Options>();
    auto* command = add_command(app, chosen, options, "await-secret", "", await);
    command->add_option("name", options->name)->required();
    return command;
}

} // namespace waggle::agent
