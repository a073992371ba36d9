#pragma once

#include "trigger/build/store.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace waggle::trigger {

// A store with paths whose NARs do not compress: sample_path('1', …) to sample_path('8', …) have 1 MiB each,
// sample_path('0', …) has 1000 bytes. sample_path('9', …) has 1 MiB of digits, which take less than half compressed.
// Safe to use from several threads.
class NarStore {
public:
    ReadNar reader();
    static std::string nar(char path);

    // Readers wait before they pass on further bytes of a path, until they are let.
    void hold_after(size_t bytes);
    void let_continue();
    // Readers fail after this many bytes of a path.
    void fail_after(size_t bytes);

    int times_read(char path) const;
    int times_completed(char path) const;

private:
    void read(const nix::StorePath& path, const nix::NarSink& sink);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    size_t hold_after_ = SIZE_MAX;
    size_t fail_after_ = SIZE_MAX;
    std::map<char, int> read_;
    std::map<char, int> completed_;
};

} // namespace waggle::trigger
