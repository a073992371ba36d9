#include "trigger/base/home_folder.hpp"

#include "shared/base/error.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace waggle::trigger {

std::filesystem::path home_folder() {
    if (const char* home = std::getenv("HOME"); home && *home)
        return home;
    if (const passwd* entry = ::getpwuid(::getuid()); entry && entry->pw_dir)
        return entry->pw_dir;
    throw Error("HOME is not set, and the password database has no home folder");
}

} // namespace waggle::trigger
