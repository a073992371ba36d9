#include "trigger/secrets/node_secrets.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

Bytes seal_bundle(NodeSecrets& secrets, std::int64_t sequence, const ssh::PublicKey& node_key) {
    secrets.bundle.sequence = sequence;
    std::vector<age::Recipient> recipients = {age::Recipient(node_key)};
    recipients.insert(recipients.end(), secrets.recovery_recipients.begin(), secrets.recovery_recipients.end());
    return age::seal(protocol::to_plaintext(secrets.bundle), recipients);
}

std::vector<age::Recipient> parse_recovery_recipients(const std::vector<std::string>& texts) {
    constexpr size_t max = age::max_recipients - 1; // the node is a recipient as well
    if (texts.size() > max)
        throw Error(fmt::format("meta.recoveryRecipients has {} keys, and {} are possible", texts.size(), max));
    std::vector<age::Recipient> recipients;
    for (const std::string& text : texts) {
        try {
            recipients.push_back(age::Recipient::parse(text));
        } catch (const age::BadAgeKey& error) {
            throw Error(fmt::format("meta.recoveryRecipients: {}", error.what()));
        }
    }
    return recipients;
}

} // namespace waggle::trigger
