#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/json.hpp"
#include "shared/ssh/key.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

inline constexpr std::string_view deployment_namespace = "waggle-deployment"; // SSHSIG namespace

// The exact payload bytes and SSHSIG blobs over them. As JSON: {"payload": base64, "signatures": [base64, …]}.
struct SignedDocument {
    std::string payload;
    std::vector<std::string> signatures;

    DeploymentId id() const;
};

SignedDocument sign(const Deployment& deployment, const ssh::Signer& key);
SignedDocument sign_payload(std::string payload, std::string_view name_space, const ssh::Signer& key);

Json to_json(const SignedDocument& document);
// Throws BadDocument; at most 8 signatures.
SignedDocument signed_document_from_json(const Json& json);

// Returns the keys that have made a valid signature over the payload. An invalid signature is not an error here; its
// key is left out.
std::vector<ssh::PublicKey> valid_signers(const SignedDocument& document,
                                          std::string_view name_space = deployment_namespace);

} // namespace waggle::protocol
