#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace waggle::trigger {

// What may stand at the cursor of a command line.
struct Completions {
    struct Word {
        std::string text;
        std::string description = {};
        bool operator==(const Word&) const = default;
    };
    std::vector<Word> words = {};
    bool files = false; // names of files, which the shell completes itself
    bool operator==(const Completions&) const = default;
};

// What --on takes of a hive. Tags take longer to read: they are part of the nodes.
enum class NameKind { node, tag };
// Reads the names from the hive that --config names, otherwise from the one that Waggle finds.
using ReadHiveNames =
    std::function<std::vector<std::string>(const std::optional<std::filesystem::path>& hive, NameKind kind)>;

// Completes the last of the words after "waggle", which may be empty. Reads the hive only if it must.
Completions complete(const CLI::App& app, std::span<const std::string> words, const ReadHiveNames& read_hive_names);

// Runs `waggle __complete WORD…`, which the scripts in trigger/completions call. Prints ":files" on a line if names of
// files fit, then a line for each word: the word, a tab and its description. Returns the exit code; prints no errors,
// because they would disturb the line that the operator is typing.
int print_completions(const CLI::App& app, std::span<const std::string> words);

} // namespace waggle::trigger
