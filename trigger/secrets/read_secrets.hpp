#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/secret_bundle.hpp"
#include "trigger/hive/key_source.hpp"

#include <chrono>
#include <map>
#include <semaphore>
#include <span>
#include <string>

namespace waggle::trigger {

// A secret could not be read. The message names it and the reason.
class SecretNotRead : public Error {
public:
    using Error::Error;
};

// The secrets that are written in the hive itself, by name.
using KeyTexts = std::map<std::string, age::SecretBytes>;

// Parses the JSON of hive.nix. Throws protocol::BadDocument.
KeyTexts key_texts_from_json(const protocol::Json& json);

// The texts of several nodes. The reason for each missing node is in `failures`.
struct EvaluatedKeyTexts {
    std::map<std::string, KeyTexts> nodes;
    std::map<std::string, std::string> failures = {};
};

// A key command may have to ask the operator for a PIN.
inline constexpr auto key_command_time = std::chrono::minutes(2);

// The number of commands that run at a time, for all nodes together, because a password store or a token serves few
// requests in parallel.
inline constexpr int max_key_commands = 8;
using CommandPlaces = std::counting_semaphore<max_key_commands>;

// Reads the secrets from their sources: texts, files, and the output of commands, which run in parallel. Returns a
// bundle without hive, node and sequence. Throws Interrupted, and SecretNotRead that names every unreadable secret.
protocol::SecretBundle read_secrets(std::span<const KeySource> sources, const KeyTexts& texts,
                                    const Interrupt& interrupt, CommandPlaces& places,
                                    std::chrono::milliseconds command_time = key_command_time);

// Disables core dumps for this process and the processes that it starts.
void disable_core_dumps();

} // namespace waggle::trigger
