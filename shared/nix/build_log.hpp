#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::nix {

// Turns the messages that a daemon sends while it builds into lines for a person: "building '/nix/store/….drv'", and
// the builders' output, each line prefixed with the name of its derivation ("hello> checking for gcc"). Texts are plain
// (plain_text).
class BuildLog {
public:
    using OnLine = std::function<void(std::string_view)>;
    explicit BuildLog(OnLine on_line) : on_line_(std::move(on_line)) {}

    // Handles a message. Keeps Nix's errors for errors(), because they are also reported at the end.
    void said(std::string_view text);
    // Handles an activity. Its fields hold a number as "".
    void begins(std::uint64_t id, std::uint64_t level, std::uint64_t type, std::string_view text,
                const std::vector<std::string>& fields);
    void ends(std::uint64_t id) { builders_.erase(id); }
    void result(std::uint64_t id, std::uint64_t type, const std::vector<std::string>& fields);

    // All "error: …" messages so far, each with its own line feed at its end; only the first ones if there are many.
    const std::string& errors() const { return errors_; }

private:
    void show(std::string_view prefix, std::string_view text) const;

    OnLine on_line_;
    std::map<std::uint64_t, std::string> builders_; // by activity: "hello> "
    std::string errors_;
};

} // namespace waggle::nix
