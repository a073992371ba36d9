#pragma once

#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace waggle::ssh {

// Runs the real ssh-keygen with the given arguments. Throws unless it succeeds.
std::string ssh_keygen(std::vector<std::string> arguments);
// Whether ssh-keygen succeeds; `input` is its standard input.
bool ssh_keygen_accepts(std::vector<std::string> arguments, const std::string& input);

// Makes a key pair of the given type, "ed25519" or "rsa", in FOLDER/TYPE and FOLDER/TYPE.pub.
std::filesystem::path make_key(const TemporaryFolder& folder, const std::string& type,
                               const std::string& passphrase = "");

} // namespace waggle::ssh
