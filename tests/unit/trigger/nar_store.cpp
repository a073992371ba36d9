#include "tests/unit/trigger/nar_store.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"

#include <random>

namespace waggle::trigger {

using namespace std::chrono_literals;

std::string NarStore::nar(char path) {
    std::mt19937 random(static_cast<std::mt19937::result_type>(path)); // the same in every run
    std::string content(path == '0' ? 1000 : 1 << 20, '\0');
    for (char& byte : content)
        byte = static_cast<char>(path == '9' ? '0' + random() % 10 : random());
    return content;
}

ReadNar NarStore::reader() {
    return [this](const nix::StorePath& path, std::uint64_t, const nix::NarSink& sink) { read(path, sink); };
}

void NarStore::read(const nix::StorePath& path, const nix::NarSink& sink) {
    constexpr size_t step = 40'000;
    const char name = path.hash_part().front();
    const std::string content = nar(name);
    {
        const std::scoped_lock lock(mutex_);
        ++read_[name];
    }
    for (size_t at = 0; at < content.size(); at += step) {
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait_for(lock, 10s, [&] { return at < hold_after_; }))
                throw Error("the test lets nothing continue");
            if (at >= fail_after_)
                throw Error("the path is gone");
        }
        sink(as_bytes(std::string_view(content).substr(at, step)));
    }
    const std::scoped_lock lock(mutex_);
    ++completed_[name];
}

void NarStore::hold_after(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    hold_after_ = bytes;
}

void NarStore::let_continue() {
    hold_after(SIZE_MAX);
    changed_.notify_all();
}

void NarStore::fail_after(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    fail_after_ = bytes;
}

int NarStore::times_read(char path) const {
    const std::scoped_lock lock(mutex_);
    const auto found = read_.find(path);
    return found == read_.end() ? 0 : found->second;
}

int NarStore::times_completed(char path) const {
    const std::scoped_lock lock(mutex_);
    const auto found = completed_.find(path);
    return found == completed_.end() ? 0 : found->second;
}

} // namespace waggle::trigger
