#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/ssh/key.hpp"

#include <filesystem>

namespace waggle::agent {

// The node's key. Where `generate` is set and there is no such file, one is made; in every other case a key that is
// missing or cannot be read is waited for: the sentence is logged, and the file tried again when its folder changes.
// Throws Interrupted.
ssh::PrivateKey await_identity(const std::filesystem::path& file, bool generate, const Interrupt& interrupt);

} // namespace waggle::agent
