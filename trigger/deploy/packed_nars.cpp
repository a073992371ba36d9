#include "trigger/deploy/packed_nars.hpp"

#include "shared/protocol/message_limits.hpp"
#include "trigger/deploy/pack_nar.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace waggle::trigger {

namespace {

// A whole number of chunks is written at a time, and readers learn of it then.
constexpr size_t batch_bytes = protocol::data_piece_bytes;
static_assert(batch_bytes % ChunkFile::chunk_bytes == 0);

// Ends the production of a path that no node reads.
class Abandoned : public Error {
public:
    Abandoned() : Error("abandoned") {}
};

} // namespace

struct PackedNars::Entry {
    enum class State { waiting, producing, complete, failed };

    Entry(nix::StorePath path_of_it, std::uint64_t size, int level_of_it)
        : path(std::move(path_of_it)), nar_size(size), level(level_of_it) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { free_chunks(); }

    void free_chunks() {
        if (file)
            file->give_back(std::exchange(chunks, {}));
    }

    const nix::StorePath path;
    const std::uint64_t nar_size;
    const int level;
    State state = State::waiting;
    ChunkFile* file = nullptr; // set with the first chunk
    std::vector<ChunkFile::Chunk> chunks;
    std::uint64_t bytes = 0; // that readers may read
    std::exception_ptr failure;
    size_t readers = 0;
    std::uint64_t last_use = 0;
};

std::filesystem::path PackedNars::default_folder() {
    const char* const folder = std::getenv("TMPDIR");
    return folder && *folder ? folder : "/var/tmp";
}

PackedNars::PackedNars(std::function<ReadNar()> nar_reader, PackedNarsLimits limits, std::filesystem::path folder)
    : nar_reader_(std::move(nar_reader)), limits_(limits), folder_(std::move(folder)) {}

PackedNars::~PackedNars() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    work_.notify_all();
    for (std::thread& producer : producers_)
        producer.join();
}

bool PackedNars::open_file() {
    if (!file_ && !no_file_) {
        try {
            file_.emplace(folder_, limits_.disk_bytes);
        } catch (const SystemError&) { // nodes are then sent what is compressed for each of them
            no_file_ = true;
        }
    }
    return file_.has_value();
}

// Makes sure that a thread takes one more path from the queue.
void PackedNars::have_producer() {
    const size_t most = std::min<size_t>(limits_.producers, std::max(1U, std::thread::hardware_concurrency()));
    if (idle_ <= queue_.size() && producers_.size() < most)
        producers_.emplace_back([this] { work(); });
}

std::shared_ptr<PackedNars::Entry> PackedNars::open(const nix::StorePath& path, std::uint64_t nar_size, int level) {
    const std::scoped_lock lock(mutex_);
    if (nar_size > limits_.disk_bytes || not_held_.contains(path) || !open_file())
        throw NotHeld("this path is not held");
    if (const auto known = entries_.find(path); known != entries_.end()) {
        ++known->second->readers;
        return known->second;
    }
    have_producer();
    auto entry = std::make_shared<Entry>(path, nar_size, level);
    entry->readers = 1;
    entries_.emplace(path, entry);
    queue_.push_back(entry);
    work_.notify_one();
    return entry;
}

void PackedNars::close(Entry& entry) {
    const std::scoped_lock lock(mutex_);
    --entry.readers;
    entry.last_use = ++uses_;
    const bool unfinished = entry.state == Entry::State::waiting || entry.state == Entry::State::producing;
    if (entry.readers == 0 && unfinished)
        entries_.erase(entry.path); // its producer stops, so no other node may join
}

void PackedNars::work() {
    ReadNar read; // its connection to the store is used for many paths
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
        --idle_;
        if (stop_)
            return;
        const std::shared_ptr<Entry> entry = std::move(queue_.front());
        queue_.pop_front();
        if (entry->readers == 0)
            continue;
        entry->state = Entry::State::producing;
        lock.unlock();
        produce(*entry, read);
        lock.lock();
    }
}

void PackedNars::produce(Entry& entry, ReadNar& read) {
    try {
        if (!read)
            read = nar_reader_();
        std::string batch;
        pack_nar(read, entry.path, entry.nar_size, entry.level, [&](std::span<const std::byte> bytes) {
            batch += as_text(bytes);
            if (batch.size() < batch_bytes)
                return;
            append(entry, as_bytes(batch).first(batch_bytes));
            batch.erase(0, batch_bytes);
        });
        append(entry, as_bytes(batch));
        end(entry, nullptr);
    } catch (...) {
        read = {}; // its connection to the store may be in the middle of a NAR
        end(entry, std::current_exception());
    }
}

void PackedNars::end(Entry& entry, std::exception_ptr failure) {
    {
        const std::scoped_lock lock(mutex_);
        entry.state = failure ? Entry::State::failed : Entry::State::complete;
        entry.failure = std::move(failure);
        if (const auto known = entries_.find(entry.path);
            entry.failure && known != entries_.end() && known->second.get() == &entry)
            entries_.erase(known);
    }
    changed_.notify_all();
}

// Frees the chunks of the complete path that was not read for the longest time.
bool PackedNars::evict() {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it)
        if (it->second->state == Entry::State::complete && it->second->readers == 0 &&
            (oldest == entries_.end() || it->second->last_use < oldest->second->last_use))
            oldest = it;
    if (oldest == entries_.end())
        return false;
    oldest->second->free_chunks();
    entries_.erase(oldest);
    return true;
}

ChunkFile::Chunk PackedNars::take_chunk(Entry& entry) {
    const std::scoped_lock lock(mutex_);
    if (stop_ || entry.readers == 0)
        throw Abandoned();
    entry.file = &file_.value();
    std::optional<ChunkFile::Chunk> chunk = file_->take();
    while (!chunk && evict())
        chunk = file_->take();
    if (!chunk) {
        not_held_.insert(entry.path);
        throw NotHeld("the temporary file is full");
    }
    entry.chunks.push_back(*chunk);
    return *chunk;
}

void PackedNars::append(Entry& entry, std::span<const std::byte> bytes) {
    const size_t size = bytes.size();
    while (!bytes.empty()) {
        const auto part = bytes.first(std::min(bytes.size(), ChunkFile::chunk_bytes));
        const ChunkFile::Chunk chunk = take_chunk(entry);
        try {
            file_->write(chunk, part);
        } catch (const SystemError& error) {
            const std::scoped_lock lock(mutex_);
            not_held_.insert(entry.path);
            throw NotHeld(error.what());
        }
        bytes = bytes.subspan(part.size());
    }
    {
        const std::scoped_lock lock(mutex_);
        entry.bytes += size;
    }
    changed_.notify_all();
}

PackedNars::Reader::Reader(PackedNars& packed_nars, const nix::StorePath& path, std::uint64_t nar_size, int level)
    : packed_nars_(packed_nars), entry_(packed_nars.open(path, nar_size, level)) {}

PackedNars::Reader::~Reader() {
    packed_nars_.close(*entry_);
}

int PackedNars::Reader::level() const {
    return entry_->level;
}

std::optional<size_t> PackedNars::Reader::read(std::span<std::byte> buffer, Deadline deadline) {
    std::vector<ChunkFile::Chunk> chunks;
    const std::uint64_t first = offset_ / ChunkFile::chunk_bytes;
    size_t size = 0;
    {
        std::unique_lock lock(packed_nars_.mutex_);
        const Entry& entry = *entry_;
        const auto has_news = [&] {
            return entry.bytes > offset_ || entry.state == Entry::State::complete ||
                   entry.state == Entry::State::failed;
        };
        if (!packed_nars_.changed_.wait_until(lock, deadline, has_news))
            return std::nullopt;
        if (entry.state == Entry::State::failed)
            std::rethrow_exception(entry.failure);
        size = static_cast<size_t>(std::min<std::uint64_t>(buffer.size(), entry.bytes - offset_));
        if (size == 0)
            return 0;
        const std::uint64_t last = (offset_ + size - 1) / ChunkFile::chunk_bytes;
        chunks.assign(entry.chunks.begin() + static_cast<std::ptrdiff_t>(first),
                      entry.chunks.begin() + static_cast<std::ptrdiff_t>(last + 1));
    }
    try {
        packed_nars_.file_->read(chunks, offset_ % ChunkFile::chunk_bytes, buffer.first(size));
    } catch (const Error& error) {
        throw NotHeld(error.what());
    }
    offset_ += size;
    return size;
}

} // namespace waggle::trigger
