#include "tests/integration/private_nix.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace waggle::test {

namespace {

constexpr std::chrono::minutes making_a_root{5}; // mmdebstrap, over a slow connection
constexpr std::chrono::minutes one_command{1};
constexpr int root_unavailable_exit_code = 69; // roots.sh says when

// $1 is the folder that becomes /nix, $2 an empty folder to mount on, $3 the root or nothing; then the command.
// `exec` at the end: the process that was started is the one that runs the command, so its owner can kill it.
constexpr const char* script = R"(
nix=$1 mount_point=$2 root=$3
shift 3
if [ -z "$root" ]; then
    mkdir -p /nix
    mount --bind "$nix" /nix
    exec "$@"
fi
mount --bind "$root" "$mount_point"
mount -o remount,bind,ro "$mount_point"
mount --bind "$nix" "$mount_point/nix"
mount -t proc proc "$mount_point/proc"
mount -t tmpfs tmpfs "$mount_point/tmp"
mount --rbind /dev "$mount_point/dev" # builders write to a pseudoterminal
exec chroot "$mount_point" "$@"
)";

std::string debian_root(const std::string& suite) {
    std::string variable = "WAGGLE_NIX_ROOT_" + suite;
    std::transform(variable.begin(), variable.end(), variable.begin(),
                   [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
    if (const char* root = std::getenv(variable.c_str()); root && *root)
        return root;
    const char* source = std::getenv("WAGGLE_SOURCE_DIR");
    std::string roots_sh = std::string(source ? source : ".") + "/tests/system/roots.sh";
    RunResult made = waggle::run({.argv = {roots_sh, "nix", suite}, .extra_environment = {}},
                                 {.deadline = deadline_in(making_a_root), .on_stderr_line = {}});
    if (made.status.code == root_unavailable_exit_code)
        throw RootUnavailable(fmt::format("there is no root of Debian {} today: {}", suite, made.err_tail));
    if (!made.status.success())
        throw Error(fmt::format("there is no root with {}'s Nix; make it with `{} nix {}` (or let ${} name one):\n{}",
                                suite, roots_sh, suite, variable, made.err_tail));
    made.out.erase(made.out.find_last_not_of('\n') + 1);
    return made.out;
}

} // namespace

PrivateNix::PrivateNix(const std::string& which) {
    if (::geteuid() != 0)
        throw Error("a private /nix needs mount namespaces: run this test as root");
    if (which != "host")
        root_ = debian_root(which);
    std::filesystem::create_directory(folder_.path() / "nix");
    std::filesystem::create_directory(folder_.path() / "root");
}

Command PrivateNix::command(std::vector<std::string> argv) const {
    std::vector<std::string> words = {"unshare",
                                      "--mount",
                                      "--propagation",
                                      "private",
                                      "sh",
                                      "-euc",
                                      script,
                                      "private-nix",
                                      folder_.path() / "nix",
                                      folder_.path() / "root",
                                      root_};
    words.insert(words.end(), argv.begin(), argv.end());
    return {.argv = std::move(words),
            .extra_environment = {{"NIX_REMOTE", ""},
                                  {"NIX_DAEMON_SOCKET_PATH", "/nix/var/nix/daemon-socket/socket"},
                                  {"NIX_CONFIG", "build-users-group =\nsandbox = false\nsubstituters ="}}};
}

std::string PrivateNix::run(std::vector<std::string> argv) const {
    std::string name = argv.at(0);
    RunResult result =
        waggle::run(command(std::move(argv)), {.deadline = deadline_in(one_command), .on_stderr_line = {}});
    if (!result.status.success())
        throw Error(fmt::format("{}: {}\n{}", name, result.status.to_string(), result.err_tail));
    return std::move(result.out);
}

std::filesystem::path PrivateNix::outside(const std::filesystem::path& inside) const {
    return folder_.path() / inside.relative_path();
}

} // namespace waggle::test
