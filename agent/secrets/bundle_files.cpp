#include "agent/secrets/bundle_files.hpp"

#include "agent/state/not_activated.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::agent {

namespace {

constexpr std::string_view suffix = ".age";

} // namespace

std::filesystem::path BundleFiles::file_of(const protocol::DeploymentId& id) const {
    return folder_ / fmt::format("{}{}", id.to_string(), suffix);
}

BundleRef BundleFiles::receive(const protocol::DeploymentId& id, std::int64_t sequence,
                               const protocol::Secrets& summary,
                               const std::function<std::string_view()>& next_piece) const {
    std::string sealed;
    sealed.reserve(static_cast<size_t>(summary.bytes)); // at most max_secret_bundle_bytes, as signed
    while (sealed.size() < summary.bytes) {
        const auto piece = next_piece();
        if (piece.size() > summary.bytes - sealed.size())
            throw NotActivated(protocol::Outcome::failed_before_activation, "wrong-secrets",
                               "received more secrets than the operator signed");
        sealed.append(piece);
    }
    if (sha256(sealed) != summary.sha256)
        throw NotActivated(protocol::Outcome::failed_before_activation, "wrong-secrets",
                           "the received secrets are not the ones that the operator signed");
    make_folders(folder_);
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
    write_file_atomically(file_of(id), sealed, 0600);
    return {.id = id, .sequence = sequence, .sha256 = summary.sha256, .bytes = summary.bytes};
}

std::string BundleFiles::load(const BundleRef& bundle) const {
    const auto file = file_of(bundle.id);
    std::optional<std::string> sealed;
    try {
        sealed = read_file_if_exists(file, protocol::max_secret_bundle_bytes);
    } catch (const Error& error) {
        throw BundleRefused(fmt::format("the sealed secrets of this node cannot be read: {}", error.what()));
    }
    if (!sealed)
        throw BundleRefused(fmt::format(
            "the sealed secrets of this node are gone: there is no {}; `waggle upload-keys` sends them again",
            file.string()));
    if (sha256(*sealed) != bundle.sha256)
        throw BundleRefused(fmt::format("{} is not the bundle of deployment {}: it was changed or replaced on this "
                                        "node; `waggle upload-keys` sends the secrets again",
                                        file.string(), bundle.id.brief()));
    return std::move(*sealed);
}

void BundleFiles::keep_only(const std::vector<protocol::DeploymentId>& ids) const {
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, missing)) {
        const auto name = entry.path().filename().string();
        const bool wanted = std::ranges::any_of(ids, [&](const auto& id) { return entry.path() == file_of(id); });
        if (name.find(suffix) != std::string::npos && !wanted)
            remove_file(entry.path());
    }
}

protocol::SecretBundle open_bundle(std::string_view sealed, const BundleRef& bundle, const Unsealer& unsealer) {
    try {
        const auto plaintext = age::open(sealed, unsealer.identities);
        auto opened = protocol::parse_secret_bundle(
            {reinterpret_cast<const char*>(plaintext.data()), plaintext.size()}); // NOLINT(*-reinterpret-cast)
        protocol::require_same_target(opened, bundle.hive.empty() ? unsealer.hive : bundle.hive,
                                      bundle.node.empty() ? unsealer.node : bundle.node, bundle.sequence);
        return opened;
    } catch (const Error& error) {
        throw BundleRefused(fmt::format("the secrets of deployment {}: {}; `waggle upload-keys` sends them again, "
                                        "sealed for the key that this node shows now",
                                        bundle.id.brief(), error.what()));
    }
}

} // namespace waggle::agent
