#pragma once

#include "shared/base/error.hpp"
#include "shared/base/time.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/chunk_file.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <vector>

namespace waggle::trigger {

struct PackedNarsLimits {
    std::uint64_t disk_bytes = std::uint64_t{1} << 30;
    // Paths that are compressed at a time, at most one per core: more would exceed the memory of a small machine (15
    // MiB each at level 9), and two keep up with any link that compression helps.
    size_t producers = 2;
};

// Compresses the NARs of a store, each once, however many nodes want it: the level that the first one asks for is used
// for all. Keeps them in a temporary file of bounded size, from which nodes read while the rest is still being
// produced. Safe to use from several threads.
class PackedNars {
private:
    struct Entry;

public:
    // $TMPDIR or /var/tmp, which, unlike /tmp, is on a disk.
    static std::filesystem::path default_folder();

    // `nar_reader` makes a reader for each producing thread. Nothing is opened before the first path is wanted.
    explicit PackedNars(std::function<ReadNar()> nar_reader, PackedNarsLimits limits = {},
                        std::filesystem::path folder = default_folder());
    // All readers must be gone. Waits for the producers to stop.
    ~PackedNars();
    PackedNars(const PackedNars&) = delete;
    PackedNars& operator=(const PackedNars&) = delete;

    // The path cannot be held here, or no longer: it is too large, or the disk is full. The reader can continue with
    // pack_nar(), which produces the same bytes at the same level.
    class NotHeld : public Error {
    public:
        using Error::Error;
    };

    // Reads one path's frame for one node. A path that no node reads is not produced any further.
    class Reader {
    public:
        Reader(PackedNars& packed_nars, const nix::StorePath& path, std::uint64_t nar_size, int level);
        ~Reader();
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;

        // Returns how many bytes it has read; 0: the frame is complete; nullopt: none were ready until `deadline`.
        // Throws NotHeld, and what the producer threw.
        std::optional<size_t> read(std::span<std::byte> buffer, Deadline deadline);
        int level() const; // the frame's

    private:
        PackedNars& packed_nars_;
        const std::shared_ptr<Entry> entry_;
        std::uint64_t offset_ = 0;
    };

private:
    std::shared_ptr<Entry> open(const nix::StorePath& path, std::uint64_t nar_size, int level);
    void close(Entry& entry);
    bool open_file();
    void have_producer();
    void work();
    void produce(Entry& entry, ReadNar& read);
    void append(Entry& entry, std::span<const std::byte> bytes);
    ChunkFile::Chunk take_chunk(Entry& entry);
    bool evict();
    void end(Entry& entry, std::exception_ptr failure);

    const std::function<ReadNar()> nar_reader_;
    const PackedNarsLimits limits_;
    const std::filesystem::path folder_;

    std::mutex mutex_;                // guards the following members, and those of the entries
    std::condition_variable changed_; // an entry
    std::condition_variable work_;    // was queued, or stop_
    std::optional<ChunkFile> file_;
    bool no_file_ = false;                                     // it could not be made
    std::map<nix::StorePath, std::shared_ptr<Entry>> entries_; // those that further readers may join
    std::deque<std::shared_ptr<Entry>> queue_;
    std::set<nix::StorePath> not_held_;
    std::uint64_t uses_ = 0;
    size_t idle_ = 0;
    bool stop_ = false;
    std::vector<std::thread> producers_; // last, because they use the members above
};

} // namespace waggle::trigger
