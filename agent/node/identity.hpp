#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/ssh/key.hpp"

#include <filesystem>

namespace waggle::agent {

// Returns the node's key. If `generate` is set and the file does not exist, creates it. Otherwise logs why the key
// cannot be read, and tries again whenever its folder changes. Throws Interrupted.
ssh::PrivateKey await_identity(const std::filesystem::path& file, bool generate, const Interrupt& interrupt);

} // namespace waggle::agent
