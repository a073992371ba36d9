#include "trigger/hive/chunk.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace waggle::trigger {

namespace {

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t reserve = 1024 * mib; // for everything else on the machine
constexpr std::uint64_t per_node = 512 * mib; // a node of real NixOS alone in its process takes that much
constexpr size_t limit_without_knowledge = 10;

} // namespace

size_t automatic_chunk_limit(std::optional<std::uint64_t> available_bytes) {
    if (!available_bytes)
        return limit_without_knowledge;
    const std::uint64_t usable = *available_bytes >= reserve ? *available_bytes - reserve : *available_bytes;
    return std::max<size_t>(1, usable / per_node);
}

std::optional<std::uint64_t> available_memory_bytes() {
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, unit; meminfo >> key;) {
        std::uint64_t kib = 0;
        if (!(meminfo >> kib))
            break;
        if (key == "MemAvailable:")
            return kib * 1024;
        std::getline(meminfo, unit);
    }
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_size = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_size <= 0)
        return std::nullopt;
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size) / 2;
}

std::vector<std::vector<std::string>> plan_chunks(std::span<const std::string> names, size_t limit) {
    if (names.empty())
        return {};
    const size_t count = limit == 0 ? 1 : (names.size() + limit - 1) / limit;
    std::vector<std::vector<std::string>> chunks;
    for (size_t i = 0; i < count; ++i) {
        const size_t begin = names.size() * i / count;
        const size_t end = names.size() * (i + 1) / count;
        chunks.emplace_back(names.begin() + static_cast<std::ptrdiff_t>(begin),
                            names.begin() + static_cast<std::ptrdiff_t>(end));
    }
    return chunks;
}

void evaluate_halving(std::span<const std::string> names, const EvaluateChunk& evaluate, ChunkResult& result) {
    try {
        protocol::Json answer = evaluate(names);
        for (const std::string& name : names) {
            if (!answer.contains(name))
                throw Error(fmt::format("the evaluation gave no answer for node {}", name));
            result.nodes[name] = std::move(answer[name]);
        }
    } catch (const EvaluationError& error) {
        if (names.size() == 1) {
            result.failures[names.front()] = error.what();
            return;
        }
        const size_t half = names.size() / 2;
        evaluate_halving(names.first(half), evaluate, result);
        evaluate_halving(names.subspan(half), evaluate, result);
    }
}

} // namespace waggle::trigger
