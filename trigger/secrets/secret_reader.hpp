#pragma once

#include "trigger/hive/hive.hpp"
#include "trigger/secrets/node_secrets.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <memory>
#include <vector>

namespace waggle::trigger {

// Reads a node's secrets when its turn comes, so that they stay in memory no longer than necessary. May be called from
// any thread.
class SecretReader {
public:
    SecretReader(EvaluatedKeyTexts texts, std::vector<age::Recipient> recovery_recipients, const Interrupt& interrupt);

    // Throws SecretNotRead, Interrupted.
    NodeSecrets operator()(const NodeAddress& node) const;

private:
    EvaluatedKeyTexts texts_;
    std::vector<age::Recipient> recovery_recipients_;
    const Interrupt* interrupt_;
    std::shared_ptr<CommandPlaces> places_ = std::make_shared<CommandPlaces>(max_key_commands); // copies share them
};

} // namespace waggle::trigger
