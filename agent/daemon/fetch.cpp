#include "agent/daemon/fetch.hpp"

#include "shared/base/hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

namespace waggle::agent {

using protocol::ClosureList;
using protocol::Outcome;

namespace {

constexpr std::chrono::milliseconds progress_interval{200};
constexpr size_t max_named_paths = 20;
// Space that must remain for the database, the profile and the running system.
constexpr std::uint64_t reserved_bytes = 64 << 20;

// Passes one requested NAR to the store. It verifies the NAR before it passes on the last bytes, so the store never
// holds a complete NAR that is not the signed one.
class CheckedNar {
public:
    CheckedNar(const ClosureList& list, std::uint32_t index, Feed& feed, std::function<void(size_t)> on_bytes)
        : entry_(list[index]), index_(index), feed_(feed), on_bytes_(std::move(on_bytes)) {
        if (entry_.nar_size == 0)
            fail("wrong-size", "the list says that it has no bytes, and every NAR has some");
    }

    size_t read(std::span<std::byte> buffer) {
        if (piece_.empty()) {
            if (received_ == entry_.nar_size)
                return 0;
            next_piece();
        }
        const size_t size = std::min(buffer.size(), piece_.size());
        std::memcpy(buffer.data(), piece_.data(), size);
        piece_.remove_prefix(size);
        return size;
    }

    bool all_read() const { return piece_.empty() && received_ == entry_.nar_size; }

private:
    void next_piece() {
        const auto piece = feed_.next_nar_piece();
        if (piece.index != index_)
            fail("wrong-path", fmt::format("the trigger sent path {} of the list instead", piece.index));
        if (piece.bytes.empty())
            fail("wrong-size", "the trigger sent an empty piece");
        if (piece.bytes.size() > entry_.nar_size - received_)
            fail("wrong-size",
                 fmt::format("the trigger sent more than the {} bytes that were signed", entry_.nar_size));
        hash_.update(piece.bytes);
        received_ += piece.bytes.size();
        if (received_ == entry_.nar_size && hash_.finish() != entry_.nar_hash)
            fail("wrong-hash", "the received bytes are not the ones that were signed");
        piece_ = piece.bytes;
        on_bytes_(piece.bytes.size());
    }

    [[noreturn]] void fail(std::string code, std::string_view why) const {
        throw NotActivated(Outcome::failed_before_activation, std::move(code),
                           fmt::format("{} was not fetched: {}", entry_.path.absolute(), why));
    }

    const protocol::ClosureEntry& entry_;
    std::uint32_t index_;
    Feed& feed_;
    std::function<void(size_t)> on_bytes_;
    Sha256 hash_;
    std::uint64_t received_ = 0;
    std::string_view piece_; // the unread part of the last piece
};

// Requests the missing paths in list order, always some ahead of those that have arrived.
class Wants {
public:
    Wants(const std::vector<std::uint32_t>& missing, Feed& feed) : missing_(missing), feed_(feed) {}

    void keep_ahead_of(size_t done) {
        if (asked_ == missing_.size() || asked_ - done > protocol::max_want_indices / 2)
            return;
        const size_t end = std::min(missing_.size(), asked_ + protocol::max_want_indices);
        const auto at = [&](size_t index) { return missing_.begin() + static_cast<std::ptrdiff_t>(index); };
        feed_.want({at(asked_), at(end)});
        asked_ = end;
    }

private:
    const std::vector<std::uint32_t>& missing_;
    Feed& feed_;
    size_t asked_ = 0;
};

std::vector<nix::StorePath> all_paths(const ClosureList& list) {
    std::vector<nix::StorePath> paths;
    paths.reserve(list.size());
    for (const auto& entry : list)
        paths.push_back(entry.path);
    return paths;
}

std::vector<std::optional<nix::PathInfo>> look_at_store(const ClosureList& list, NodeStore& store) {
    const auto paths = all_paths(list);
    store.add_temp_roots(paths); // first, so that valid paths stay valid
    const auto valid = store.query_valid_paths(paths);
    std::vector<nix::StorePath> present;
    std::vector<size_t> positions;
    for (size_t i = 0; i < paths.size(); ++i) {
        if (valid.contains(paths[i])) {
            present.push_back(paths[i]);
            positions.push_back(i);
        }
    }
    auto present_infos = store.query_path_infos(present);
    std::vector<std::optional<nix::PathInfo>> infos(list.size());
    for (size_t i = 0; i < positions.size(); ++i)
        infos[positions[i]] = std::move(present_infos[i]);
    return infos;
}

std::vector<nix::StorePath> paths_of(const ClosureList& list, const std::vector<std::uint32_t>& indices) {
    std::vector<nix::StorePath> paths;
    for (const auto index : indices)
        paths.push_back(list[index].path);
    return paths;
}

// Finds which of the doubtful paths a power cut has emptied, and marks them as missing.
std::set<std::uint32_t> leave_out_emptied(const ClosureList& list, std::vector<std::optional<nix::PathInfo>>& infos,
                                          const std::set<nix::StorePath>& doubtful, NodeStore& store) {
    std::set<std::uint32_t> emptied;
    for (std::uint32_t i = 0; i < list.size(); ++i)
        if (infos[i] && doubtful.contains(list[i].path) && !store.is_intact(*infos[i]))
            emptied.insert(i);
    for (const auto index : emptied)
        infos[index].reset();
    return emptied;
}

void check_space(const FetchPlan& plan, const FetchOptions& options) {
    if (plan.missing.empty())
        return;
    if (options.free_bytes < reserved_bytes || options.free_bytes - reserved_bytes < plan.missing_bytes)
        throw NotActivated(Outcome::failed_before_activation, "no-space",
                           fmt::format("/nix/store has {} MiB free, but {} MiB are missing there and {} MiB must "
                                       "remain: free space on the node, for example with nix-collect-garbage",
                                       options.free_bytes >> 20, (plan.missing_bytes >> 20) + 1, reserved_bytes >> 20));
}

FetchProgress fetch_missing(const ClosureList& list, const FetchPlan& plan, const std::set<std::uint32_t>& emptied,
                            NodeStore& store, Feed& feed, const FetchOptions& options) {
    FetchProgress progress{.paths_total = plan.missing.size(), .bytes_total = plan.missing_bytes};
    if (plan.missing.empty())
        return progress;
    options.on_progress(progress);
    auto last_report = std::chrono::steady_clock::now();
    const auto on_bytes = [&](size_t size) {
        progress.bytes_done += size;
        const auto now = std::chrono::steady_clock::now();
        if (now - last_report < progress_interval)
            return;
        last_report = now;
        options.on_progress(progress);
    };

    Wants wants(plan.missing, feed);
    for (const auto index : plan.missing) {
        wants.keep_ahead_of(static_cast<size_t>(progress.paths_done));
        CheckedNar nar(list, index, feed, on_bytes);
        store.add_to_store(
            protocol::path_info(list, index), [&](std::span<std::byte> buffer) { return nar.read(buffer); },
            emptied.contains(index));
        if (!nar.all_read())
            throw NotActivated(Outcome::failed_before_activation, "store-error",
                               fmt::format("the nix daemon accepted only part of {}", list[index].path.absolute()));
        ++progress.paths_done;
    }
    options.on_progress(progress);
    return progress;
}

} // namespace

FetchPlan plan_fetch(const ClosureList& list, const std::vector<std::optional<nix::PathInfo>>& infos) {
    FetchPlan plan;
    for (std::uint32_t i = 0; i < list.size(); ++i) {
        if (!infos[i]) {
            plan.missing.push_back(i);
            plan.missing_bytes += list[i].nar_size;
            continue;
        }
        const auto signed_info = protocol::path_info(list, i);
        if (infos[i]->nar_hash != signed_info.nar_hash || infos[i]->nar_size != signed_info.nar_size ||
            infos[i]->references != signed_info.references)
            plan.differing.push_back(i);
    }
    return plan;
}

std::string name_paths(const ClosureList& list, const std::vector<std::uint32_t>& indices) {
    std::string names;
    for (size_t i = 0; i < std::min(indices.size(), max_named_paths); ++i)
        names += (i == 0 ? "" : ", ") + list[indices[i]].path.base_name();
    if (indices.size() > max_named_paths)
        names += fmt::format(" and {} more", indices.size() - max_named_paths);
    return names;
}

ClosureList receive_closure_list(const protocol::ClosureSummary& summary, const nix::StorePath& toplevel, Feed& feed) {
    try {
        protocol::ClosureListReader reader(summary, toplevel);
        while (!reader.complete())
            reader.update(feed.next_list_piece());
        return reader.finish();
    } catch (const protocol::BadDocument& error) {
        throw NotActivated(Outcome::failed_before_activation, "bad-closure-list",
                           fmt::format("the closure list cannot be used: {}", error.what()));
    }
}

FetchProgress fetch(const ClosureList& list, NodeStore& store, Feed& feed, UnsyncedPaths& unsynced,
                    const FetchOptions& options) {
    auto infos = look_at_store(list, store);
    const auto emptied = leave_out_emptied(list, infos, unsynced.doubtful(), store);
    if (!emptied.empty())
        options.on_note(fmt::format("{} paths lost their content when this node lost power, and are fetched again: {}",
                                    emptied.size(), name_paths(list, {emptied.begin(), emptied.end()})));
    const auto plan = plan_fetch(list, infos);
    if (!plan.differing.empty()) {
        const auto what = fmt::format("{} paths are on this node with another content than the operator has: {}",
                                      plan.differing.size(), name_paths(list, plan.differing));
        if (options.local_content == protocol::LocalContent::exact)
            throw NotActivated(Outcome::refused, "local-content-differs", what);
        options.on_note(what + " (kept)");
    }
    check_space(plan, options);

    unsynced.expect(paths_of(list, plan.missing));
    const auto progress = fetch_missing(list, plan, emptied, store, feed, options);
    if (unsynced.any()) {
        store.sync();
        unsynced.settle(all_paths(list));
    }
    return progress;
}

} // namespace waggle::agent
