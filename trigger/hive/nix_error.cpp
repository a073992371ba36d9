#include "trigger/hive/nix_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

namespace waggle::trigger {

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        lines.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

size_t indentation(std::string_view line) {
    return std::min(line.find_first_not_of(' '), line.size());
}

bool begins_with(std::string_view line, std::string_view word) {
    return line.substr(indentation(line)).starts_with(word);
}

// A file that is missing from a flake's tree.
struct MissingFile {
    std::filesystem::path tree; // "/nix/store/…-source"
    std::string name;           // within the tree
};

// Returns the file that the error reports as missing. Nix 2.8 uses the message of stat(2), newer versions have their
// own.
std::optional<MissingFile> missing_in_a_tree(std::string_view text) {
    constexpr std::string_view end_of_tree = "-source/";
    for (const auto& [before, after] :
         {std::pair<std::string_view, std::string_view>{"getting status of '", "': No such file or directory"},
          {"path '", "' does not exist"}}) {
        const size_t end = text.find(after);
        if (!text.starts_with(before) || end == text.npos)
            continue;
        const std::string_view path = text.substr(before.size(), end - before.size());
        if (const size_t found = path.find(end_of_tree); found != path.npos)
            return MissingFile{path.substr(0, found + end_of_tree.size() - 1),
                               std::string(path.substr(found + end_of_tree.size()))};
    }
    return std::nullopt;
}

// Returns the git submodule that should contain the file (gitmodules(5)), if the tree has one there.
std::optional<std::string> submodule_of(const MissingFile& file) {
    constexpr std::string_view key = "path = ";
    std::string text(1 << 16, '\0');
    std::ifstream modules(file.tree / ".gitmodules");
    modules.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(modules.gcount()));
    for (const std::string_view line : lines_of(text)) {
        const size_t found = line.find(key);
        if (found == line.npos)
            continue;
        std::string path(line.substr(found + key.size()));
        if (file.name == path || file.name.starts_with(path + '/'))
            return path;
    }
    return std::nullopt;
}

std::string advice(const MissingFile& file) {
    if (const auto submodule = submodule_of(file))
        return fmt::format("\n“{}” is a git submodule, and a flake includes submodules only on request: "
                           "name it as git+file:///FOLDER?submodules=1.",
                           *submodule);
    if (file.tree.string().starts_with("/nix/store/"))
        return "\nA flake in a git repository has only the files that git tracks: `git add` it.";
    return "";
}

} // namespace

std::string nix_error(std::string_view standard_error, bool show_trace) {
    constexpr size_t max_lines = 40;
    std::vector<std::string_view> lines = lines_of(standard_error);

    // Older Nix prints "error: …" and then the traces. Newer Nix prints "error:", the traces, and last "error: …",
    // indented.
    constexpr std::string_view error_word = "error: ";
    const auto is_error = [](std::string_view line) { return begins_with(line, "error:"); };
    auto begin = std::find_if(lines.begin(), lines.end(), is_error);
    if (!show_trace) {
        const auto last = std::find_if(lines.rbegin(), lines.rend(), is_error);
        if (last != lines.rend())
            begin = std::prev(last.base());
    }
    if (begin == lines.end())
        begin = lines.begin();
    lines.erase(lines.begin(), begin);
    std::erase_if(lines, [](std::string_view line) { return begins_with(line, "(use '--show-trace'"); });
    // The text of a failed NixOS assertion begins below the word, and so does that of newer Nix with traces.
    const bool begins_below =
        lines.size() > 1 && is_error(lines[0]) && lines[0].find_last_not_of(' ') == lines[0].find(':');
    if (begins_below)
        lines.erase(lines.begin());
    if (!show_trace && lines.size() > max_lines)
        lines.resize(max_lines);

    // Remove "error: " itself, and outdent the lines below it by the same width.
    std::string text;
    size_t margin = begins_below ? indentation(lines[0]) : 0;
    for (size_t i = 0; i < lines.size(); ++i) {
        std::string_view line = lines[i];
        if (i == 0 && is_error(line) && line.size() > indentation(line) + error_word.size()) {
            margin = indentation(line) + error_word.size();
            line.remove_prefix(margin);
        }
        text += fmt::format("{}\n", line.substr(std::min(margin, indentation(line))));
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.pop_back();
    if (const auto file = missing_in_a_tree(text))
        text += advice(*file);
    return text.empty() ? "nix-instantiate failed without a message" : text;
}

} // namespace waggle::trigger
