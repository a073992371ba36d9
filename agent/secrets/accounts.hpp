#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace waggle::agent {

// The users and groups of this node; nullopt: there is none of that name.
class Accounts {
public:
    virtual ~Accounts() = default;
    virtual std::optional<uid_t> user(const std::string& name) const = 0;
    virtual std::optional<gid_t> group(const std::string& name) const = 0;
    // For people: the name, else the number.
    virtual std::string name_of_user(uid_t id) const = 0;
    virtual std::string name_of_group(gid_t id) const = 0;
};

class LocalAccounts : public Accounts {
public:
    std::optional<uid_t> user(const std::string& name) const override;
    std::optional<gid_t> group(const std::string& name) const override;
    std::string name_of_user(uid_t id) const override;
    std::string name_of_group(gid_t id) const override;
};

} // namespace waggle::agent
