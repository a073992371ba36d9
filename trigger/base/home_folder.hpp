#pragma once

#include <filesystem>

namespace waggle::trigger {

// $HOME, or the home directory in the password database.
std::filesystem::path home_folder();

} // namespace waggle::trigger
