#pragma once

#include "shared/ssh/key.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace waggle::trigger {

// $HOME, else what the password database says.
std::filesystem::path home_folder();

// The operator's key and where it is.
struct Identity {
    std::unique_ptr<ssh::Signer> signer;
    std::string origin;                 // "the file …", "ssh-agent (comment)"
    std::optional<std::string> warning; // about the way it is used
};

// The world in which the key is looked for; tests make their own.
struct IdentityPlaces {
    std::filesystem::path home;
    std::optional<std::filesystem::path> agent_socket; // SSH_AUTH_SOCK
    bool came_by_ssh = false;                          // SSH_CONNECTION

    static IdentityPlaces of_this_process();
};

// The operator's key. `named` (--identity) is a private key file, or a .pub file whose private key the ssh-agent holds;
// without it ~/.ssh/id_ed25519, or the only Ed25519 key of the ssh-agent. A file with a passphrase is used through the
// agent. An agent is asked for a signature at once, so that what hinders it is known before anything else is done.
// Throws Error with a sentence that says what to do.
Identity load_identity(const std::optional<std::filesystem::path>& named, const IdentityPlaces& places);

} // namespace waggle::trigger
