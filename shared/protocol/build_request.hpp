#pragma once

#include "shared/protocol/hello.hpp"
#include "shared/protocol/signed_document.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

inline constexpr std::string_view build_namespace = "waggle-build"; // SSHSIG namespace
inline constexpr std::chrono::seconds max_build_timeout = std::chrono::hours{24};

// An operator's request that a node build its own system. It changes only the node's store, and it is valid in one
// session only, so a copy of it is useless elsewhere. docs/reference/protocol.md describes each field.
struct BuildRequest {
    std::string hive;
    std::string node;
    std::vector<ssh::PublicKey> node_keys;
    std::string system;
    nix::StorePath drv;         // the system's derivation
    nix::StorePath toplevel;    // its output
    ClosureSummary derivations; // of the closure of drv: derivations and sources, all that a build may need
    Exporter exporter{};        // of the session
    std::chrono::seconds timeout = max_build_timeout;

    bool operator==(const BuildRequest&) const = default;
};

// The payload: JSON text. These exact bytes are signed. The request's ID is their SHA-256, as with a deployment.
std::string to_payload(const BuildRequest& request);
// Throws BadDocument, naming the field.
BuildRequest parse_build_request(std::string_view payload);

SignedDocument sign(const BuildRequest& request, const ssh::Signer& key);

} // namespace waggle::protocol
