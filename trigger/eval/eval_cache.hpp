#pragma once

#include "shared/protocol/json.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// The results of earlier evaluations, in one file per key. Members: "info", "deployment NAME", "node NAME".
//
// A key covers everything that the results depend on. Without a key, nothing is found and nothing is kept. A file that
// cannot be read or written counts as missing, because the cache must never cause a failure. The same holds for a
// folder or file that belongs to another user, that others can write to, or that is a symbolic link: anyone who writes
// there chooses what this user deploys.
class EvalCache {
public:
    EvalCache() = default; // always empty
    EvalCache(const std::filesystem::path& folder, const std::string& key);

    const protocol::Json* find(const std::string& member) const;
    // Ignores an answer that contains the text of a secret.
    void add(const std::string& member, const protocol::Json& answer);
    // Writes the added answers, together with those that other processes have written meanwhile. Removes files that
    // were not used for a long time.
    void save();

private:
    std::filesystem::path file_; // empty: no cache
    std::string key_;
    protocol::Json answers_ = protocol::Json::object();
    protocol::Json added_ = protocol::Json::object();
};

// Whether an answer for a node or its deployment contains a secret's text, which is a `text` other than null below
// `keys`.
bool holds_secret(const protocol::Json& answer);

// $XDG_CACHE_HOME/waggle/eval, or the same below ~/.cache; nullopt if the user has no home folder.
std::optional<std::filesystem::path> eval_cache_folder();

} // namespace waggle::trigger
