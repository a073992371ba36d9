#include "trigger/deploy/identity.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace waggle::trigger {

namespace fs = std::filesystem;

fs::path home_folder() {
    if (const char* home = std::getenv("HOME"); home && *home)
        return home;
    if (const passwd* entry = ::getpwuid(::getuid()); entry && entry->pw_dir)
        return entry->pw_dir;
    throw Error("HOME is not set, and the password database has no home folder");
}

ssh::PrivateKey load_identity(const std::optional<fs::path>& named) {
    const fs::path file = named ? *named : home_folder() / ".ssh" / "id_ed25519";
    std::error_code ignored;
    if (!fs::exists(file, ignored))
        throw Error(
            fmt::format("there is no operator key {}; name one with --identity, or make it with "
                        "`ssh-keygen -t ed25519 -f {}` and add its .pub line to services.waggle-agent.operators",
                        file.string(), file.string()));
    return ssh::PrivateKey::load(file);
}

} // namespace waggle::trigger
