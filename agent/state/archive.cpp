#include "agent/state/archive.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ranges>
#include <set>
#include <utility>

namespace waggle::agent {

namespace {

constexpr size_t max_log_bytes = 4 << 20;
constexpr size_t max_document_bytes = 256 << 10;

protocol::HistoryEntry entry_of(const DeploymentRecord& record) {
    protocol::HistoryEntry entry;
    entry.id = record.id;
    entry.goal = record.goal;
    entry.toplevel = record.toplevel ? record.toplevel->absolute() : "";
    entry.ended = record.since;
    entry.operator_key = record.operator_key;
    entry.outcome = record.require_outcome();
    entry.code = record.code;
    entry.message = record.message;
    entry.generation = record.generation;
    return entry;
}

bool made_generation(const protocol::HistoryEntry& entry) {
    return entry.generation &&
           (entry.outcome == protocol::Outcome::ok || entry.outcome == protocol::Outcome::ok_units_failed);
}

} // namespace

Archive::Archive(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

void Archive::remove_leftovers() const {
    std::error_code no_folder;
    for (const auto& folder : std::filesystem::directory_iterator(state_dir_ / "deployments", no_folder))
        waggle::remove_leftovers(folder.path());
    waggle::remove_leftovers(state_dir_, "history.json.");
}

std::filesystem::path Archive::folder_of(const protocol::DeploymentId& id) const {
    return state_dir_ / "deployments" / id.to_string();
}

void Archive::keep(const protocol::DeploymentId& id, const char* name, std::string_view content) const noexcept {
    try {
        make_folders(folder_of(id));
        write_file_atomically(folder_of(id) / name, content, 0600);
    } catch (const std::exception& error) {
        spdlog::error("deployment {} cannot be deployed again from here: {}", id.brief(), error.what());
    }
}

void Archive::keep_document(const protocol::DeploymentId& id, const protocol::SignedDocument& document) const {
    keep(id, "document.json", protocol::dump_json(protocol::to_json(document)));
}

void Archive::keep_list(const protocol::DeploymentId& id, std::string_view list) const {
    keep(id, "closure", list);
}

std::vector<protocol::HistoryEntry> Archive::read() const {
    const auto file = state_dir_ / "history.json";
    std::vector<protocol::HistoryEntry> entries;
    try {
        const auto text = read_file_if_exists(file, max_log_bytes);
        if (!text)
            return entries;
        const auto json = protocol::parse_json(*text, file.string());
        protocol::Fields fields(json, file.string());
        if (fields.integer("v") != 1)
            fields.fail("v", "is of another version");
        for (const auto& item : fields.array("entries", max_entries))
            entries.push_back(protocol::history_entry_from_json(item));
    } catch (const std::exception& error) {
        spdlog::error("starting a new history: {}", error.what());
        entries.clear();
    }
    return entries;
}

void Archive::note(const DeploymentRecord& record) noexcept {
    if (!record.outcome)
        return;
    try {
        const std::lock_guard lock(mutex_);
        add(record);
    } catch (const std::exception& error) {
        spdlog::error("could not write deployment {} to the history: {}", record.id.brief(), error.what());
    }
}

void Archive::add(const DeploymentRecord& record) const {
    auto entries = read();
    auto entry = entry_of(record);
    try {
        if (const auto text = read_file_if_exists(folder_of(record.id) / "document.json", max_document_bytes))
            entry.git = protocol::parse_deployment(
                            protocol::signed_document_from_json(protocol::parse_json(*text, "document")).payload)
                            .git;
    } catch (const std::exception& error) {
        spdlog::warn("the document of {} cannot be read: {}", record.id.brief(), error.what());
    }
    const auto same = std::ranges::find(entries, record.id, &protocol::HistoryEntry::id);
    if (same == entries.end())
        entries.push_back(std::move(entry));
    else if (*same == entry)
        return;
    else
        *same = std::move(entry); // the record has changed since, as after an awaited reboot
    if (entries.size() > max_entries)
        entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(max_entries));
    auto list = protocol::Json::array();
    for (const auto& each : entries)
        list.push_back(protocol::to_json(each));
    write_file_atomically(state_dir_ / "history.json", protocol::dump_json({{"v", 1}, {"entries", list}}), 0600);
    let_go(entries);
}

void Archive::let_go(const std::vector<protocol::HistoryEntry>& entries) const {
    std::set<std::string> kept;
    if (!entries.empty())
        kept.insert(entries.back().id.to_string());
    for (const auto& entry : entries | std::views::reverse)
        if (made_generation(entry) && kept.size() <= kept_deployments)
            kept.insert(entry.id.to_string());
    std::error_code no_folder;
    for (const auto& folder : std::filesystem::directory_iterator(state_dir_ / "deployments", no_folder))
        if (!kept.contains(folder.path().filename().string()))
            std::filesystem::remove_all(folder.path());
}

std::vector<protocol::HistoryEntry> Archive::history(size_t limit) const {
    const std::lock_guard lock(mutex_);
    auto entries = read();
    std::ranges::reverse(entries);
    entries.resize(std::min(limit, entries.size()));
    return entries;
}

std::optional<Archive::Kept> Archive::find(std::uint64_t generation) const {
    for (const auto& entry : history(max_entries)) {
        if (!made_generation(entry) || entry.generation != generation)
            continue;
        const auto document = read_file_if_exists(folder_of(entry.id) / "document.json", max_document_bytes);
        auto list = read_file_if_exists(folder_of(entry.id) / "closure", protocol::max_closure_list_bytes);
        if (!document || !list)
            return std::nullopt;
        return Kept{generation, protocol::signed_document_from_json(protocol::parse_json(*document, "document")),
                    std::move(*list)};
    }
    return std::nullopt;
}

std::optional<std::uint64_t> Archive::previous(const std::optional<nix::StorePath>& running) const {
    for (const auto& entry : history(max_entries))
        if (made_generation(entry) && (!running || entry.toplevel != running->absolute()))
            return entry.generation;
    return std::nullopt;
}

} // namespace waggle::agent
