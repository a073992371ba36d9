#pragma once

#include "shared/base/time.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// A file that a secret was written to, so that it can be removed later, and when its content last changed. Holds
// neither the content nor a hash of it.
struct InstalledSecret {
    std::string name;
    std::string path;
    std::int64_t sequence = 0; // of the bundle that it was last written from
    Time changed;
    bool operator==(const InstalledSecret&) const = default;
};

// STATE-DIR/secrets/installed.json. It lists a file from before it is written until after it is removed.
class InstalledList {
public:
    static std::filesystem::path file_in(const std::filesystem::path& state_dir);
    // Returns an empty list if there is no file. Throws protocol::BadDocument.
    static InstalledList load(const std::filesystem::path& state_dir);
    static InstalledList parse(std::string_view text, std::string_view name_for_errors);

    std::string to_text() const;
    void save(const std::filesystem::path& state_dir) const;

    const InstalledSecret* find(std::string_view path) const;
    void put(const InstalledSecret& secret); // by its path
    void drop(std::string_view path);

    const std::vector<InstalledSecret>& secrets() const { return secrets_; }
    bool operator==(const InstalledList&) const = default;

private:
    std::vector<InstalledSecret> secrets_;
};

} // namespace waggle::agent
