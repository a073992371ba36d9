#include "trigger/command/evaluation_limits.hpp"

#include "shared/base/error.hpp"
#include "trigger/eval/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>

namespace waggle::trigger {

namespace {

// A machine that does not report its memory is taken to have this much.
constexpr std::uint64_t memory_without_knowledge = std::uint64_t{4} << 30;

// Parses --eval-node-limit; nullopt: auto.
std::optional<size_t> parse_node_limit(const std::string& text) {
    if (text == "auto")
        return std::nullopt;
    size_t limit = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, limit);
    if (error != std::errc() || rest != end)
        throw Error(fmt::format("--eval-node-limit takes a number or “auto”, not “{}”", text));
    return limit;
}

} // namespace

EvaluationLimits evaluation_limits(const SelectOptions& options) {
    EvaluationLimits limits;
    limits.workers =
        options.eval_workers > 0 ? options.eval_workers : std::max(1U, std::thread::hardware_concurrency());
    const std::uint64_t available = available_memory_bytes().value_or(memory_without_knowledge);
    limits.memory_bytes = static_cast<double>(parse_memory_size(options.eval_memory, available));
    if (const std::optional<std::uint64_t> limit = address_space_limit())
        limits.process_bytes = static_cast<double>(*limit);
    limits.per_chunk = parse_node_limit(options.eval_node_limit);
    return limits;
}

} // namespace waggle::trigger
