#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/json.hpp"
#include "shared/ssh/key.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

inline constexpr std::string_view deployment_namespace = "waggle-deployment"; // SSHSIG namespace

// Exact payload bytes and SSHSIG blobs over them. As JSON: {"payload": base64, "signatures": [base64, …]}.
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

// The keys whose signatures over the payload hold. A signature that does not hold is not an error here:
// it is simply not in the answer.
std::vector<ssh::PublicKey> valid_signers(const SignedDocument& document,
                                          std::string_view name_space = deployment_namespace);

} // namespace waggle::protocol
