#include "trigger/eval/schedule.hpp"

#include <algorithm>
#include <utility>

namespace waggle::trigger {

namespace {

constexpr double mib = 1 << 20;

// Assumptions until the first processes have ended. Nodes of real NixOS take about this much.
constexpr double process_bytes = 400 * mib;
constexpr double node_bytes = 200 * mib;
constexpr double process_seconds = 0.5;
constexpr double node_seconds = 2.3;

constexpr double first_caution = 1.1; // nodes differ, and a process is measured only at its end
constexpr double more_caution = 1.25; // after each process that was killed or ran out of memory
constexpr double most_caution = 4;

constexpr double worthwhile_overhead = 0.03; // of the time, for starting processes
constexpr size_t least_longest = 4;
constexpr size_t most_longest = 32;
constexpr size_t learning_needs = 4; // nodes per worker; with fewer, all are started at once
constexpr int most_deaths = 3;       // of a process with one node, before the node has failed

// The initial heap is a part of a process's share of the budget, so that several nodes still fit next to memory that is
// never collected. A larger one than most_heap makes nothing faster: 16 nodes of NixOS 20.09 took 48 s of CPU time with
// Nix's default, 40 s with 1 GiB, 34 s with 2 GiB, and 36 s with 3 GiB.
constexpr double heap_part = 1.0 / 3;
constexpr double least_heap = 1024 * mib;
constexpr double most_heap = 2048 * mib;

// The processes' memory is polled every few milliseconds. The rest of the budget must hold what they grow by until the
// next poll, and until one of them has ended.
constexpr double full = 0.95; // of the budget

size_t divided_up(size_t count, size_t parts) {
    return (count + parts - 1) / parts;
}

} // namespace

std::optional<std::uint64_t> first_heap_bytes(const EvaluationLimits& limits) {
    const double share = std::min(limits.memory_bytes / static_cast<double>(std::max<size_t>(1, limits.workers)),
                                  limits.process_bytes.value_or(limits.memory_bytes));
    const double heap = share * heap_part;
    if (heap < least_heap)
        return std::nullopt;
    return static_cast<std::uint64_t>(std::min(heap, most_heap));
}

Schedule::Schedule(std::vector<std::string> names, EvaluationLimits limits)
    : limits_(limits), total_(names.size()), memory_(process_bytes, node_bytes), time_(process_seconds, node_seconds),
      caution_(first_caution) {
    limits_.workers = std::max<size_t>(1, limits_.workers);
    for (std::string& name : names)
        pending_.push_back({.name = std::move(name)});
}

double Schedule::memory_of(size_t nodes) const {
    return memory_.at_most(nodes) * caution_;
}

double Schedule::memory_in_use() const {
    double bytes = 0;
    for (const auto& [id, chunk] : running_)
        bytes += memory_of(chunk.size);
    return bytes;
}

size_t Schedule::largest_within(double bytes) const {
    bytes = std::min(bytes, limits_.process_bytes.value_or(bytes));
    size_t nodes = 0;
    while (nodes < most_longest && memory_of(nodes + 1) <= bytes)
        ++nodes;
    return nodes;
}

// Returns the number of nodes with which a process's own cost hardly matters. Fewer would waste time; more would only
// make nodes wait for the others.
size_t Schedule::longest_worthwhile() const {
    const double for_process = time_.expected(0);
    const double for_node = time_.expected(1) - for_process;
    if (for_node <= 0)
        return most_longest;
    const double nodes = for_process / (for_node * worthwhile_overhead);
    return std::clamp(static_cast<size_t>(std::min<double>(nodes, most_longest)), least_longest, most_longest);
}

// Returns the number of processes that evaluates the most nodes per second, each process with its part of the memory.
size_t Schedule::workers_worth_having() const {
    size_t best = 1;
    double best_rate = 0;
    for (size_t workers = 1; workers <= limits_.workers; ++workers) {
        const size_t fit = largest_within(limits_.memory_bytes / static_cast<double>(workers));
        if (fit == 0 && workers > 1)
            break;
        const size_t nodes = std::clamp<size_t>(fit, 1, longest_worthwhile());
        const double rate =
            static_cast<double>(workers) * static_cast<double>(nodes) / std::max(time_.expected(nodes), 1e-3);
        if (rate > best_rate) {
            best = workers;
            best_rate = rate;
        }
    }
    return best;
}

size_t Schedule::wanted_size() const {
    if (limits_.per_chunk) {
        const size_t most = *limits_.per_chunk == 0 ? pending_.size() : *limits_.per_chunk;
        return divided_up(pending_.size(), divided_up(pending_.size(), most)); // of nearly equal size
    }
    // The unanswered nodes of running processes count as well: a process that starts before those have ended takes more
    // of the rest.
    const size_t workers = workers_worth_having();
    size_t unanswered = pending_.size();
    for (const auto& [id, chunk] : running_)
        unanswered += chunk.nodes.size();
    const size_t even = std::min(pending_.size(), divided_up(unanswered, workers));
    if (total_ > learning_needs * limits_.workers && started_ < limits_.workers)
        return std::min<size_t>(even, 1 + started_ % 2);
    const size_t fit = largest_within(limits_.memory_bytes / static_cast<double>(workers));
    return std::max<size_t>(1, std::min({even, longest_worthwhile(), fit}));
}

std::optional<Chunk> Schedule::next() {
    const bool one_runs_alone = std::any_of(running_.begin(), running_.end(), [](auto& r) { return r.second.alone; });
    if (pending_.empty() || running_.size() >= limits_.workers || one_runs_alone)
        return std::nullopt;
    const bool alone = pending_.front().deaths > 0; // it may have died of memory, so it gets all of it
    if (alone && !running_.empty())
        return std::nullopt;

    size_t size = std::clamp<size_t>(wanted_size(), 1, pending_.size());
    for (size_t i = 0; i < size; ++i)
        size = pending_[i].most_together > i ? std::min(size, pending_[i].most_together) : i;
    if (!limits_.per_chunk) {
        while (size > 1 && memory_in_use() + memory_of(size) > limits_.memory_bytes)
            --size;
    }
    if (!running_.empty() && memory_in_use() + memory_of(size) > limits_.memory_bytes)
        return std::nullopt;

    Chunk chunk{.id = started_++, .names = {}};
    Running& run = running_[chunk.id];
    run.size = size;
    run.alone = alone;
    for (size_t i = 0; i < size; ++i) {
        chunk.names.push_back(pending_.front().name);
        run.nodes.push_back(std::move(pending_.front()));
        pending_.pop_front();
    }
    return chunk;
}

void Schedule::answered(size_t id, const std::string& name) {
    std::erase_if(running_.at(id).nodes, [&](const Pending& node) { return node.name == name; });
}

void Schedule::put_back(std::vector<Pending> nodes) {
    pending_.insert(pending_.begin(), std::make_move_iterator(nodes.begin()), std::make_move_iterator(nodes.end()));
}

std::optional<std::string> Schedule::ended(size_t id, ChunkEnd end, ChunkUsage usage) {
    Running run = std::move(running_.at(id));
    running_.erase(id);
    std::vector<Pending>& left = run.nodes;
    if (end == ChunkEnd::complete && !left.empty())
        end = ChunkEnd::failed; // it ended without an error and without an answer

    switch (end) {
    case ChunkEnd::complete:
        memory_.observe(run.size, usage.peak_bytes);
        time_.observe(run.size, usage.seconds);
        return std::nullopt;
    case ChunkEnd::failed: {
        if (left.empty())
            return std::nullopt;
        std::string broken = std::move(left.front().name);
        left.erase(left.begin());
        put_back(std::move(left));
        return broken;
    }
    case ChunkEnd::over_budget:
    case ChunkEnd::killed: break;
    }

    // A process needs at least the memory that it had when it ended.
    if (usage.peak_bytes > memory_.at_most(run.size))
        memory_.observe(run.size, usage.peak_bytes);
    caution_ = std::min(caution_ * more_caution, most_caution);
    if (left.empty())
        return std::nullopt;
    for (Pending& node : left)
        node.most_together = std::max<size_t>(1, std::min(node.most_together, run.size / 2));
    if (run.size == 1 && ++left.front().deaths >= most_deaths && end == ChunkEnd::killed)
        return std::move(left.front().name);
    put_back(std::move(left));
    return std::nullopt;
}

std::vector<std::string> Schedule::drop(const std::set<std::string>& names) {
    std::vector<std::string> dropped;
    for (const Pending& node : pending_)
        if (names.contains(node.name))
            dropped.push_back(node.name);
    std::erase_if(pending_, [&](const Pending& node) { return names.contains(node.name); });
    return dropped;
}

void Schedule::retry(const std::string& name) {
    pending_.push_front({.name = name});
}

std::optional<size_t> Schedule::one_too_many(const std::map<size_t, double>& resident_bytes) const {
    double bytes = 0;
    for (const auto& [id, resident] : resident_bytes)
        bytes += resident;
    if (bytes <= limits_.memory_bytes * full)
        return std::nullopt;
    // The youngest process has the least to lose. A node that is alone in its process may use all that it needs. So may
    // a number of nodes that the operator has chosen.
    const bool may_shrink = running_.size() == 1 && running_.begin()->second.size > 1 && !limits_.per_chunk;
    if (running_.size() < 2 && !may_shrink)
        return std::nullopt;
    return running_.rbegin()->first;
}

} // namespace waggle::trigger
