#pragma once

#include "shared/age/age.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <string>
#include <vector>

namespace waggle::trigger {

// What one node is to have, ready to be sealed for each document anew: the bundle repeats the document's sequence.
struct NodeSecrets {
    protocol::SecretBundle bundle;                   // its sequence is not set yet
    std::vector<age::Recipient> recovery_recipients; // who can open it besides the node

    bool empty() const { return bundle.secrets.empty(); }
};

// The sealed bundle for a deployment with this sequence to the node with this key.
Bytes seal_bundle(NodeSecrets& secrets, std::int64_t sequence, const ssh::PublicKey& node_key);

// meta.recoveryRecipients. Throws Error, naming the one that cannot be used.
std::vector<age::Recipient> parse_recovery_recipients(const std::vector<std::string>& texts);

} // namespace waggle::trigger
