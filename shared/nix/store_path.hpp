#pragma once

#include "shared/base/error.hpp"

#include <compare>
#include <string>
#include <string_view>

namespace waggle::nix {

class BadStorePath : public Error {
public:
    using Error::Error;
};

// The name of a Nix store object, "<32 base32 characters>-<name>", valid by construction. The store is always
// /nix/store. Format: Nix manual, "Store Path"; alphabet and limits as in libstore/path.cc.
class StorePath {
public:
    // Accepts "/nix/store/<base name>" and a base name. Throws BadStorePath, naming the input (escaped and cut), for
    // anything else.
    static StorePath parse(std::string_view text);
    // Accepts only the absolute form.
    static StorePath parse_absolute(std::string_view text);

    const std::string& base_name() const { return base_name_; }
    std::string_view hash_part() const; // 32 characters
    std::string_view name() const;
    std::string absolute() const; // "/nix/store/…"

    auto operator<=>(const StorePath&) const = default;

private:
    explicit StorePath(std::string base_name) : base_name_(std::move(base_name)) {}
    std::string base_name_;
};

} // namespace waggle::nix
