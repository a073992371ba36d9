#pragma once

#include "trigger/eval/cost.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace waggle::trigger {

struct EvaluationLimits {
    size_t workers = 1;                       // processes at a time
    double memory_bytes = 0;                  // of all processes together
    std::optional<double> process_bytes = {}; // of each process, if it has a limit of its own
    std::optional<size_t> per_chunk;          // nodes in one process; 0: all of them; nullopt: as learned
};

// Returns the heap size with which Nix's garbage collector should start in each process; nullopt: Nix's default,
// because memory is scarce. An evaluation spends much of its time on collecting, and ends earlier if its heap is large
// from the start.
std::optional<std::uint64_t> first_heap_bytes(const EvaluationLimits& limits);

// The nodes that one process evaluates, one after the other.
struct Chunk {
    size_t id = 0;
    std::vector<std::string> names;
};

// How an evaluator process ended.
enum class ChunkEnd {
    complete,    // with an answer for every node
    failed,      // Nix ended it with an error at the first node without an answer
    killed,      // by a signal, or because it was out of memory
    over_budget, // stopped by us
};

struct ChunkUsage {
    double peak_bytes = 0;
    double seconds = 0;
};

// Decides which nodes are evaluated together and when, so that all workers are busy and the memory suffices. The
// decisions depend only on the calls below, not on a clock or on processes.
//
// The first processes get one or two nodes each. From these the schedule learns the cost of a process and of a node,
// and sizes the others accordingly. A node's answer is known as soon as it is evaluated, so a process that fails costs
// only the node at which it failed: the nodes after it go into new processes. The unanswered nodes of a killed process
// go into processes of half the size.
class Schedule {
public:
    Schedule(std::vector<std::string> names, EvaluationLimits limits);

    // Returns a chunk to start in addition to the running ones; nullopt: wait until one of them ends.
    std::optional<Chunk> next();
    // Records that a node of the chunk has its answer.
    void answered(size_t id, const std::string& name);
    // Returns the node that will have no answer, if there is one: it has failed with this process's error.
    std::optional<std::string> ended(size_t id, ChunkEnd end, ChunkUsage usage);
    // Removes these from the nodes that are yet to be started. Returns the removed ones in order.
    std::vector<std::string> drop(const std::set<std::string>& names);
    // Queues the node that `ended` returned again, because it did not fail by itself.
    void retry(const std::string& name);
    // Returns the chunk whose process must be stopped, given the resident bytes of each chunk's process; nullopt: none.
    std::optional<size_t> one_too_many(const std::map<size_t, double>& resident_bytes) const;
    // Whether no process is running and no node is left.
    bool done() const { return pending_.empty() && running_.empty(); }

    // The expected memory of a process with this many nodes.
    double memory_of(size_t nodes) const;

private:
    struct Pending {
        std::string name;
        size_t most_together = SIZE_MAX; // nodes in its process, itself included
        int deaths = 0;                  // of processes that had only this node
    };
    struct Running {
        std::vector<Pending> nodes; // without an answer yet, in order
        size_t size = 0;
        bool alone = false;
    };

    size_t wanted_size() const;
    size_t workers_worth_having() const;
    size_t longest_worthwhile() const;
    size_t largest_within(double bytes) const;
    double memory_in_use() const;
    void put_back(std::vector<Pending> nodes);

    EvaluationLimits limits_;
    size_t total_ = 0;
    size_t started_ = 0;
    std::deque<Pending> pending_;
    std::map<size_t, Running> running_;
    CostLine memory_;
    CostLine time_;
    double caution_;
};

} // namespace waggle::trigger
