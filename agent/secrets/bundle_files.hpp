#pragma once

#include "agent/state/state.hpp"
#include "shared/age/age.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// A bundle in the state directory is not the expected one. Nothing of it was used.
class BundleRefused : public Error {
public:
    using Error::Error;
};

// STATE-DIR/secrets/: the encrypted bundles as received, one file per deployment, and no plain text.
class BundleFiles {
public:
    explicit BundleFiles(const std::filesystem::path& state_dir) : folder_(state_dir / "secrets") {}

    const std::filesystem::path& folder() const { return folder_; }
    std::filesystem::path file_of(const protocol::DeploymentId& id) const;

    // Receives the bundle that the signed summary describes. Discards any other bytes unread and throws NotActivated.
    // `next_piece` returns the next bytes; they stay valid until it is called again.
    BundleRef receive(const protocol::DeploymentId& id, std::int64_t sequence, const protocol::Secrets& summary,
                      const std::function<std::string_view()>& next_piece) const;
    // Returns the file if it is still the received one. Throws BundleRefused.
    std::string load(const BundleRef& bundle) const;
    // Removes every bundle that is not in the list, and the remains of an interrupted receive.
    void keep_only(const std::vector<protocol::DeploymentId>& ids) const;

private:
    std::filesystem::path folder_;
};

// This node's identity and the keys that its secrets may be encrypted to.
struct Unsealer {
    std::string hive;
    std::string node;
    std::vector<age::Identity> identities;
};

// Decrypts the bundle and verifies it against the deployment that brought it. Throws BundleRefused.
protocol::SecretBundle open_bundle(std::string_view sealed, const BundleRef& bundle, const Unsealer& unsealer);

} // namespace waggle::agent
