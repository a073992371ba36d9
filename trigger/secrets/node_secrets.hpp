#pragma once

#include "shared/age/age.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <string>
#include <vector>

namespace waggle::trigger {

// The secrets for one node, to be sealed again for each document, because the bundle repeats the document's sequence.
struct NodeSecrets {
    protocol::SecretBundle bundle;                   // its sequence is not set yet
    std::vector<age::Recipient> recovery_recipients; // can open it in addition to the node

    bool empty() const { return bundle.secrets.empty(); }
};

// Seals the bundle for a deployment with this sequence to the node with this key.
Bytes seal_bundle(NodeSecrets& secrets, std::int64_t sequence, const ssh::PublicKey& node_key);

// Parses meta.recoveryRecipients. Throws Error that names the unusable key.
std::vector<age::Recipient> parse_recovery_recipients(const std::vector<std::string>& texts);

} // namespace waggle::trigger
