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
    std::optional<double> process_bytes = {}; // of each process, where it has a limit of its own
    std::optional<size_t> per_chunk;          // nodes in one process, 0: all of them; nullopt: by what is learned
};

// With how much memory Nix's garbage collector should begin in each process; nullopt: as Nix has it, where memory is
// scarce. Much of an evaluation's time is collecting, and it ends early in a heap that is large from the first.
std::optional<std::uint64_t> first_heap_bytes(const EvaluationLimits& limits);

// Nodes that one process evaluates, one after the other.
struct Chunk {
    size_t id = 0;
    std::vector<std::string> names;
};

// How an evaluator process ended.
enum class ChunkEnd {
    complete,    // with an answer for every node
    failed,      // Nix ended it with an error, at the first node that has no answer
    killed,      // by a signal, or out of memory
    over_budget, // by us
};

struct ChunkUsage {
    double peak_bytes = 0;
    double seconds = 0;
};

// Which nodes are evaluated together and when, so that all workers are busy and the memory suffices. A function of what
// it was told: no clock, no processes.
//
// The first processes get one or two nodes and teach what a process and what a node costs; the rest is sized by that.
// A node's answer is known as soon as it is evaluated, so a process that fails costs only the node it failed at: those
// after it go into new processes. Of one that was killed those without an answer go into processes of half the size.
class Schedule {
public:
    Schedule(std::vector<std::string> names, EvaluationLimits limits);

    // A chunk to start now besides those that run; nullopt: wait until one of them ends.
    std::optional<Chunk> next();
    // A node of the chunk has its answer.
    void answered(size_t id, const std::string& name);
    // Returns the node for which there will be no answer, if there is one: it has failed with this process's error.
    std::optional<std::string> ended(size_t id, ChunkEnd end, ChunkUsage usage);
    // Takes these out of what is left to be started, and returns which were there, in order.
    std::vector<std::string> drop(const std::set<std::string>& names);
    // The node that `ended` returned did not fail by itself: it is evaluated again.
    void retry(const std::string& name);
    // Which process must go, when they hold so many bytes by the ids of their chunks.
    std::optional<size_t> one_too_many(const std::map<size_t, double>& resident_bytes) const;
    // Nothing runs and nothing is left.
    bool done() const { return pending_.empty() && running_.empty(); }

    // What is expected of a process with so many nodes.
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
