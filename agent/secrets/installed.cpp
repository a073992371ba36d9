#include "agent/secrets/installed.hpp"

#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::agent {

namespace {

constexpr int list_version = 1;
constexpr size_t max_list_bytes = 4 << 20;
constexpr size_t max_entries = 2 * protocol::max_secrets; // an old and a new bundle's

} // namespace

std::filesystem::path InstalledList::file_in(const std::filesystem::path& state_dir) {
    return state_dir / "secrets" / "installed.json";
}

InstalledList InstalledList::load(const std::filesystem::path& state_dir) {
    const auto file = file_in(state_dir);
    const auto text = read_file_if_exists(file, max_list_bytes);
    return text ? parse(*text, file.string()) : InstalledList();
}

InstalledList InstalledList::parse(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    protocol::Fields fields(json, name_for_errors);
    fields.header("installed-secrets", list_version);
    InstalledList list;
    for (const auto& item : fields.array("secrets", max_entries)) {
        protocol::Fields entry(item, name_for_errors);
        InstalledSecret secret;
        secret.name = entry.string("name");
        secret.path = entry.string("path");
        // The list determines what may be deleted.
        if (!protocol::is_secret_path(secret.path))
            entry.fail("path", "is not a path of a secret");
        secret.sequence = entry.integer("sequence");
        secret.changed = entry.time("changed");
        entry.end();
        list.put(secret);
    }
    fields.end();
    return list;
}

std::string InstalledList::to_text() const {
    auto array = protocol::Json::array();
    for (const auto& secret : secrets_)
        array.push_back({{"name", secret.name},
                         {"path", secret.path},
                         {"sequence", secret.sequence},
                         {"changed", to_rfc3339(secret.changed)}});
    const protocol::Json json = {{"v", list_version}, {"type", "installed-secrets"}, {"secrets", std::move(array)}};
    return json.dump(2) + "\n";
}

void InstalledList::save(const std::filesystem::path& state_dir) const {
    const auto file = file_in(state_dir);
    make_folders(file.parent_path());
    std::filesystem::permissions(file.parent_path(), std::filesystem::perms::owner_all);
    write_file_atomically(file, to_text(), 0600);
}

const InstalledSecret* InstalledList::find(std::string_view path) const {
    const auto found = std::ranges::find(secrets_, path, &InstalledSecret::path);
    return found == secrets_.end() ? nullptr : &*found;
}

void InstalledList::put(const InstalledSecret& secret) {
    drop(secret.path);
    secrets_.push_back(secret);
    std::ranges::sort(secrets_, {}, &InstalledSecret::path);
}

void InstalledList::drop(std::string_view path) {
    std::erase_if(secrets_, [&](const InstalledSecret& secret) { return secret.path == path; });
}

} // namespace waggle::agent
