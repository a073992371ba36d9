#pragma once

#include "shared/ssh/key.hpp"

#include <filesystem>
#include <optional>

namespace waggle::trigger {

// $HOME, else what the password database says.
std::filesystem::path home_folder();

// The operator's key: the file that was named, else ~/.ssh/id_ed25519. Throws Error that says how to make one.
ssh::PrivateKey load_identity(const std::optional<std::filesystem::path>& named);

} // namespace waggle::trigger
