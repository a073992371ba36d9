#include "trigger/eval/eval_cache.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/hash.hpp"
#include "trigger/base/trusted_file.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace waggle::trigger {

namespace fs = std::filesystem;
using protocol::Json;

namespace {

constexpr size_t max_cache_file_bytes = 256 << 20;
constexpr size_t max_files = 32; // an operator may return to an older lock of the hive

std::string file_name(const std::string& key) {
    const Sha256Digest digest = sha256(key);
    return to_hex(digest) + ".json";
}

// Returns the answers in the file if the file is for this key, otherwise none.
Json read_answers(const fs::path& file, const std::string& key) {
    try {
        if (const std::optional<std::string> text = read_own_file(file, max_cache_file_bytes)) {
            Json json = protocol::parse_json(*text, "the evaluation cache");
            if (json.is_object() && json.value("v", 0) == 1 && json.value("key", "") == key &&
                json.contains("answers") && json["answers"].is_object())
                return std::move(json["answers"]);
        }
    } catch (const std::exception&) {
        return Json::object(); // another version, or truncated: it will be overwritten
    }
    return Json::object();
}

void forget_the_oldest(const fs::path& folder) {
    std::vector<std::pair<fs::file_time_type, fs::path>> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".json")
            files.emplace_back(entry.last_write_time(), entry.path());
    }
    std::sort(files.rbegin(), files.rend());
    for (size_t i = max_files; i < files.size(); ++i)
        fs::remove(files[i].second);
}

bool has_text(const Json& json) {
    if (json.is_object()) {
        if (const auto text = json.find("text"); text != json.end() && !text->is_null())
            return true;
    }
    return json.is_structured() && std::any_of(json.begin(), json.end(), has_text);
}

} // namespace

bool holds_secret(const Json& answer) {
    if (!answer.is_object())
        return false;
    if (answer.contains("deployment") && holds_secret(answer["deployment"]))
        return true;
    return answer.contains("keys") && has_text(answer["keys"]);
}

EvalCache::EvalCache(const fs::path& folder, const std::string& key)
    : file_(make_private_folder(folder) ? folder / file_name(key) : fs::path()), key_(key),
      answers_(file_.empty() ? Json::object() : read_answers(file_, key_)) {}

const Json* EvalCache::find(const std::string& member) const {
    const auto found = answers_.find(member);
    return found == answers_.end() ? nullptr : &*found;
}

void EvalCache::add(const std::string& member, const Json& answer) {
    if (!file_.empty() && !holds_secret(answer))
        added_[member] = answer;
}

void EvalCache::save() {
    if (file_.empty())
        return;
    try {
        if (added_.empty()) {
            if (!answers_.empty())
                fs::last_write_time(file_, fs::file_time_type::clock::now()); // it is in use
            return;
        }
        Json answers = read_answers(file_, key_);
        answers.update(added_);
        write_file_atomically(file_, Json{{"v", 1}, {"key", key_}, {"answers", std::move(answers)}}.dump(), 0600);
        added_ = Json::object();
        forget_the_oldest(file_.parent_path());
    } catch (const std::exception&) {
        file_.clear(); // such as a full disk or another user's folder: continue without a cache
    }
}

std::optional<fs::path> eval_cache_folder() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    if (cache && *cache == '/')
        return fs::path(cache) / "waggle/eval";
    const char* home = std::getenv("HOME");
    if (!home || *home != '/') {
        const passwd* entry = ::getpwuid(::geteuid());
        home = entry ? entry->pw_dir : nullptr;
    }
    if (!home || *home != '/')
        return std::nullopt;
    return fs::path(home) / ".cache/waggle/eval";
}

} // namespace waggle::trigger
