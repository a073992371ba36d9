#include "agent/secrets/node_secrets.hpp"

#include "agent/node/host.hpp"
#include "agent/secrets/bundle_in_force.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::minutes lock_timeout{5}; // for another installation on a slow disk
constexpr size_t max_mountinfo_bytes = 8 << 20;

std::chrono::microseconds monotonic_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now); // the clock of systemd's timestamps
    return std::chrono::seconds(now.tv_sec) +
           std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::nanoseconds(now.tv_nsec));
}

} // namespace

void guard_memory() noexcept {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::prctl(PR_SET_DUMPABLE, 0);          // systemd-coredump receives core dumps through a pipe, whatever the limit
    ::mlockall(MCL_CURRENT | MCL_FUTURE); // fails without CAP_IPC_LOCK; this process may then be swapped like any other
}

std::vector<std::string> parse_mount_points(std::string_view mountinfo) {
    constexpr size_t mount_point_column = 4;
    std::vector<std::string> points;
    while (!mountinfo.empty()) {
        auto line = mountinfo.substr(0, mountinfo.find('\n'));
        mountinfo.remove_prefix(std::min(mountinfo.size(), line.size() + 1));
        for (size_t column = 0; column < mount_point_column; ++column)
            line.remove_prefix(std::min(line.size(), line.find(' ') == line.npos ? line.size() : line.find(' ') + 1));
        points.emplace_back(line.substr(0, line.find(' ')));
    }
    return points;
}

NodeSecrets::NodeSecrets(Config config) : config_(std::move(config)) {}

std::optional<BundleRef> NodeSecrets::in_force(const std::optional<nix::StorePath>& running_system) const {
    const StateKeeper state(config_.state_dir);
    if (state.condition() == StateKeeper::Condition::corrupt)
        throw Error(state.problem());
    return bundle_in_force(state.get(), LocalHost().boot_id(), running_system);
}

protocol::SecretBundle NodeSecrets::open(const std::optional<BundleRef>& bundle) const {
    if (!bundle)
        return {.hive = config_.hive, .node = config_.node, .sequence = 0, .secrets = {}};
    const auto sealed = BundleFiles(config_.state_dir).load(*bundle);
    return open_bundle(sealed, *bundle, unsealer());
}

// Returns the keys that can be loaded. While the host key is being replaced, one of them may be missing.
Unsealer NodeSecrets::unsealer() const {
    Unsealer unsealer{.hive = config_.hive, .node = config_.node, .identities = {}};
    std::string problem;
    auto files = config_.old_identity_files;
    files.insert(files.begin(), config_.identity_file);
    for (const auto& file : files) {
        try {
            unsealer.identities.emplace_back(ssh::PrivateKey::load(file));
        } catch (const Error& error) {
            problem = error.what();
        }
    }
    if (unsealer.identities.empty())
        throw BundleRefused(fmt::format("this node's secrets cannot be opened: {}", problem));
    return unsealer;
}

std::vector<std::string> NodeSecrets::absent_mounts() const {
    if (config_.secret_mounts.empty())
        return {};
    const auto mounted = parse_mount_points(read_file("/proc/self/mountinfo", max_mountinfo_bytes));
    std::vector<std::string> absent;
    std::ranges::copy_if(config_.secret_mounts, std::back_inserter(absent),
                         [&](const std::string& mount) { return std::ranges::find(mounted, mount) == mounted.end(); });
    return absent;
}

InstallWorld NodeSecrets::environment() const {
    static const LocalAccounts accounts;
    return {.state_dir = config_.state_dir, .accounts = accounts, .clock = now, .monotonic = monotonic_now};
}

InstallOutcome NodeSecrets::install(const std::optional<BundleRef>& bundle, StageScope scope) const {
    if (!bundle && !std::filesystem::exists(InstalledList::file_in(config_.state_dir)))
        return {}; // this node never had secrets
    const auto lock = lock_file(config_.state_dir / "secrets.lock", deadline_in(lock_timeout));
    scope.absent_mounts = absent_mounts();
    return install_secrets(open(bundle), scope, environment());
}

protocol::SecretsReport NodeSecrets::report() const {
    protocol::SecretsReport report;
    const auto bundle = in_force(LocalHost().current_system());
    if (!bundle)
        return report;
    report.sequence = bundle->sequence;
    try {
        const auto lock = lock_file(config_.state_dir / "secrets.lock", deadline_in(lock_timeout));
        StageScope scope;
        scope.absent_mounts = absent_mounts();
        report.secrets = look_at_secrets(open(bundle), scope, environment());
    } catch (const Error& error) {
        report.problem = error.what();
    }
    return report;
}

} // namespace waggle::agent
