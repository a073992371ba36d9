#pragma once

#include "agent/fetch.hpp"
#include "agent/state.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/secret_bundle.hpp"
#include "shared/secret/age.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// A bundle in the state directory that is not what it must be: nothing of it was used.
class BundleRefused : public Error {
public:
    using Error::Error;
};

// STATE-DIR/secrets/: sealed bundles as they came, one file for each deployment, and nothing in clear.
class BundleFiles {
public:
    explicit BundleFiles(const std::filesystem::path& state_dir) : folder_(state_dir / "secrets") {}

    const std::filesystem::path& folder() const { return folder_; }
    std::filesystem::path file_of(const protocol::DeploymentId& id) const;

    // Receives what the signed summary promises; bytes that are not those are thrown away unread (Stopped).
    BundleRef receive(const protocol::DeploymentId& id, std::int64_t sequence, const protocol::Secrets& summary,
                      Feed& feed) const;
    // The file, if it is still the one that came; throws BundleRefused.
    std::string load(const BundleRef& bundle) const;
    // Removes every bundle that is not in the list, and what a cut-off receive left.
    void keep_only(const std::vector<protocol::DeploymentId>& ids) const;

private:
    std::filesystem::path folder_;
};

// Who this node is, and the keys that its secrets may be sealed for.
struct Unsealer {
    std::string hive;
    std::string node;
    std::vector<secret::Identity> identities;
};

// Opens it and holds it to the deployment that brought it. Throws BundleRefused.
protocol::SecretBundle open_bundle(std::string_view sealed, const BundleRef& bundle, const Unsealer& unsealer);

} // namespace waggle::agent
