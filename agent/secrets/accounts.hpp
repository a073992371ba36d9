#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace waggle::agent {

// A user's home directory according to the password database. It may not exist.
struct Home {
    std::string folder;
    gid_t group; // the user's own
};

// The users and groups of this node. Returns nullopt for unknown names.
class Accounts {
public:
    virtual ~Accounts() = default;
    virtual std::optional<uid_t> user(const std::string& name) const = 0;
    virtual std::optional<gid_t> group(const std::string& name) const = 0;
    virtual std::optional<Home> home(const std::string& user) const = 0;
    // The name, or the number if there is none.
    virtual std::string name_of_user(uid_t id) const = 0;
    virtual std::string name_of_group(gid_t id) const = 0;
};

class LocalAccounts : public Accounts {
public:
    std::optional<uid_t> user(const std::string& name) const override;
    std::optional<gid_t> group(const std::string& name) const override;
    std::optional<Home> home(const std::string& user) const override;
    std::string name_of_user(uid_t id) const override;
    std::string name_of_group(gid_t id) const override;
};

} // namespace waggle::agent
