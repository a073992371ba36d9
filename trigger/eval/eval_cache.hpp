#pragma once

#include "shared/protocol/json.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// What evaluations have given before, in one file for each key. Members: "info", "node NAME".
//
// A key holds all that the answers depend on; without one nothing is found and nothing kept. A file that cannot be read
// or written is as good as none: the cache is never a reason to fail. So is a folder or a file that is not this user's
// own, that others can write to, or that is a symbolic link: whoever writes there chooses what this user deploys.
class EvalCache {
public:
    EvalCache() = default; // of no use
    EvalCache(const std::filesystem::path& folder, const std::string& key);

    const protocol::Json* find(const std::string& member) const;
    // Not kept if the text of a secret is in it.
    void add(const std::string& member, const protocol::Json& answer);
    // Writes what was added, together with what others have written meanwhile, and forgets files that are long unused.
    void save();

private:
    std::filesystem::path file_; // empty: of no use
    std::string key_;
    protocol::Json answers_ = protocol::Json::object();
    protocol::Json added_ = protocol::Json::object();
};

// Whether an answer, a node's or its deployment's, has a secret's text in it: a `text` that is not null below `keys`.
bool holds_secret(const protocol::Json& answer);

// $XDG_CACHE_HOME/waggle/eval, or the same below ~/.cache; nullopt for a user without a home folder.
std::optional<std::filesystem::path> eval_cache_folder();

} // namespace waggle::trigger
