#pragma once

#include "shared/protocol/json.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// An evaluation that Nix ended with an error; the message is Nix's own, cut to what a person needs.
class EvaluationError : public Error {
public:
    using Error::Error;
};

// How many nodes one evaluator process may hold, from the memory that is available (nullopt: not known).
size_t automatic_chunk_limit(std::optional<std::uint64_t> available_bytes);

// The machine's available memory; on a system that does not say, half of what it has.
std::optional<std::uint64_t> available_memory_bytes();

// Cuts the names into chunks of nearly equal size, none larger than `limit` (0: one chunk).
std::vector<std::vector<std::string>> plan_chunks(std::span<const std::string> names, size_t limit);

// What became of each node of a chunk.
struct ChunkResult {
    std::map<std::string, protocol::Json> nodes;
    std::map<std::string, std::string> failures; // node, message
};

// Evaluates a chunk to a JSON object with one member per name. Throws EvaluationError.
using EvaluateChunk = std::function<protocol::Json(std::span<const std::string>)>;

// Evaluates the names together; where that fails, half of them, until a broken node fails alone with its own error.
void evaluate_halving(std::span<const std::string> names, const EvaluateChunk& evaluate, ChunkResult& result);

} // namespace waggle::trigger
