#include "trigger/secrets/secret_reader.hpp"

namespace waggle::trigger {

SecretReader::SecretReader(EvaluatedKeyTexts texts, std::vector<age::Recipient> recovery_recipients,
                           const Interrupt& interrupt)
    : texts_(std::move(texts)), recovery_recipients_(std::move(recovery_recipients)), interrupt_(&interrupt) {}

NodeSecrets SecretReader::operator()(const NodeAddress& node) const {
    if (const auto failure = texts_.failures.find(node.name); failure != texts_.failures.end())
        throw SecretNotRead(failure->second);
    const auto texts = texts_.nodes.find(node.name);
    return {.bundle = read_secrets(node.deployment.keys, texts == texts_.nodes.end() ? KeyTexts{} : texts->second,
                                   *interrupt_, *places_),
            .recovery_recipients = recovery_recipients_};
}

} // namespace waggle::trigger
