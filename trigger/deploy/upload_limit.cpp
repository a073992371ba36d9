#include "trigger/deploy/upload_limit.hpp"

#include "shared/base/error.hpp"
#include "shared/protocol/message_limits.hpp"
#include "trigger/base/quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace waggle::trigger {

namespace {

constexpr std::uint64_t turns_per_second = 16;
// An agent that gets nothing for 60 s ends its fetch. At the least rate, 256 nodes get a piece every 32 s.
constexpr std::uint64_t least_piece_bytes = 512;
constexpr double least_rate = 4 << 10;
constexpr double greatest_rate = 1e15;

} // namespace

size_t UploadLimit::piece_bytes() const {
    return static_cast<size_t>(
        std::clamp<std::uint64_t>(bytes_per_second_ / turns_per_second, least_piece_bytes, protocol::data_piece_bytes));
}

UploadLimit::Instant UploadLimit::reserve(size_t bytes, Instant now) {
    const std::chrono::duration<double> duration(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
    const std::scoped_lock lock(mutex_);
    const Instant begin = std::max(now, free_from_);
    free_from_ = begin + std::chrono::duration_cast<Instant::duration>(duration);
    return begin;
}

std::uint64_t parse_rate(std::string_view text) {
    const auto refuse = [&] {
        return Error(fmt::format("“{}” is not a rate: write bytes per second as 500K, 2M or 1G, at least 4K", text));
    };
    const auto quantity = parse_quantity(text);
    if (!quantity || quantity->unit == 'T')
        throw refuse();
    const auto factor = quantity->unit == '\0' ? std::optional(1.0) : power_of_1024(quantity->unit);
    if (!factor)
        throw refuse();
    const double rate = std::floor(quantity->number * *factor);
    if (!(rate >= least_rate && rate <= greatest_rate))
        throw refuse();
    return static_cast<std::uint64_t>(rate);
}

} // namespace waggle::trigger
