#include "trigger/secrets/secret_reader.hpp"

namespace waggle::trigger {

SecretReader::SecretReader(std::map<std::string, KeyTexts> texts, std::vector<secret::Recipient> recovery_recipients,
                           const Interrupt& interrupt)
    : texts_(std::move(texts)), recovery_recipients_(std::move(recovery_recipients)), interrupt_(&interrupt) {}

NodeSecrets SecretReader::operator()(const NodeAddress& node) const {
    const auto texts = texts_.find(node.name);
    return {.bundle =
                read_secrets(node.deployment.keys, texts == texts_.end() ? KeyTexts{} : texts->second, *interrupt_),
            .recovery_recipients = recovery_recipients_};
}

} // namespace waggle::trigger
