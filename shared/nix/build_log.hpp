#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::nix {

// What a daemon tells of while it builds, made into lines for a person: "building '/nix/store/….drv'", and what
// builders print, each with the name of its derivation before it ("hello> checking for gcc"). Texts are plain
// (plain_text).
class BuildLog {
public:
    using OnLine = std::function<void(std::string_view)>;
    explicit BuildLog(OnLine on_line) : on_line_(std::move(on_line)) {}

    // A message. Nix's errors are kept for errors(), for they are told at the end, too.
    void said(std::string_view text);
    // An activity; its fields, a number as "".
    void begins(std::uint64_t id, std::uint64_t level, std::uint64_t type, std::string_view text,
                const std::vector<std::string>& fields);
    void ends(std::uint64_t id) { builders_.erase(id); }
    void result(std::uint64_t id, std::uint64_t type, const std::vector<std::string>& fields);

    // "error: …" as often as there was one, each with its own line feed at its end; the first of them when they are
    // many.
    const std::string& errors() const { return errors_; }

private:
    void show(std::string_view prefix, std::string_view text) const;

    OnLine on_line_;
    std::map<std::uint64_t, std::string> builders_; // by activity: "hello> "
    std::string errors_;
};

} // namespace waggle::nix
