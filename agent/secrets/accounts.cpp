#include "agent/secrets/accounts.hpp"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace waggle::agent {

namespace {

constexpr size_t first_buffer_bytes = 4096;
constexpr size_t max_buffer_bytes = 1 << 20; // a group with very many members

// The four functions of <pwd.h> and <grp.h> differ only in types. `read` extracts the wanted value from the entry.
template <class Entry, class Key, class Read>
auto look_up(int (*get)(Key, Entry*, char*, size_t, Entry**), Key key, const Read& read)
    -> std::optional<decltype(read(std::declval<Entry&>()))> {
    std::vector<char> buffer(first_buffer_bytes);
    while (true) {
        Entry entry{};
        Entry* found = nullptr;
        const int error = get(key, &entry, buffer.data(), buffer.size(), &found);
        if (error == ERANGE && buffer.size() < max_buffer_bytes) {
            buffer.resize(2 * buffer.size());
            continue;
        }
        return found == nullptr ? std::nullopt : std::optional(read(*found));
    }
}

template <class Entry, class Key>
std::string name_of(int (*get)(Key, Entry*, char*, size_t, Entry**), Key key, char* Entry::* name) {
    std::vector<char> buffer(max_buffer_bytes);
    Entry entry{};
    Entry* found = nullptr;
    get(key, &entry, buffer.data(), buffer.size(), &found);
    return found == nullptr ? std::to_string(key) : std::string(found->*name);
}

} // namespace

std::optional<uid_t> LocalAccounts::user(const std::string& name) const {
    return look_up(::getpwnam_r, name.c_str(), [](const passwd& entry) { return entry.pw_uid; });
}

std::optional<gid_t> LocalAccounts::group(const std::string& name) const {
    return look_up(::getgrnam_r, name.c_str(), [](const ::group& entry) { return entry.gr_gid; });
}

std::optional<Home> LocalAccounts::home(const std::string& user) const {
    return look_up(::getpwnam_r, user.c_str(), [](const passwd& entry) {
        return Home{.folder = entry.pw_dir == nullptr ? "" : entry.pw_dir, .group = entry.pw_gid};
    });
}

std::string LocalAccounts::name_of_user(uid_t id) const {
    return name_of(::getpwuid_r, id, &passwd::pw_name);
}

std::string LocalAccounts::name_of_group(gid_t id) const {
    return name_of(::getgrgid_r, id, &::group::gr_name);
}

} // namespace waggle::agent
