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

// A secret that could not be read; the message names it and says why.
class SecretNotRead : public Error {
public:
    using Error::Error;
};

// The secrets that are written in the hive itself, by name.
using KeyTexts = std::map<std::string, age::SecretBytes>;

// From the JSON of hive.nix. Throws protocol::BadDocument.
KeyTexts key_texts_from_json(const protocol::Json& json);

// Of several nodes; why those that are missing are is in `failures`.
struct EvaluatedKeyTexts {
    std::map<std::string, KeyTexts> nodes;
    std::map<std::string, std::string> failures = {};
};

// A key command may have to ask a person for a PIN.
inline constexpr auto key_command_time = std::chrono::minutes(2);

// Commands that run at a time, of all nodes together: a password store or a token answers few at once.
inline constexpr int max_key_commands = 8;
using CommandPlaces = std::counting_semaphore<max_key_commands>;

// Reads the secrets from where they are: texts, files, the output of commands, which run side by side. In a bundle
// without hive, node and sequence. Throws SecretNotRead, which names each that could not be read, and Interrupted.
protocol::SecretBundle read_secrets(std::span<const KeySource> sources, const KeyTexts& texts,
                                    const Interrupt& interrupt, CommandPlaces& places,
                                    std::chrono::milliseconds command_time = key_command_time);

// No core dump of this process from now on, nor of what it starts.
void disable_core_dumps();

} // namespace waggle::trigger
