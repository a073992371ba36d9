#include "shared/nix/store_path.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::nix {

namespace {

constexpr std::string_view store_prefix = "/nix/store/";
constexpr std::string_view base32_alphabet = "0123456789abcdfghijklmnpqrsvwxyz"; // no e, o, u, t
constexpr size_t hash_length = 32;
constexpr size_t max_name_length = 211; // with hash, "-" and ".lock" it fits into a file name of 255 bytes

// The part of an untrusted text that may be shown to a person: printable ASCII, at most 100 characters.
std::string shown(std::string_view text) {
    std::string result;
    for (char c : text.substr(0, 100)) {
        if (c >= ' ' && c <= '~')
            result += c;
        else
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return text.size() > 100 ? result + "…" : result;
}

[[noreturn]] void refuse(std::string_view text, std::string_view problem) {
    throw BadStorePath(fmt::format("'{}' is not a store path: {}", shown(text), problem));
}

bool is_name_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("+-._?=").find(c) != std::string_view::npos;
}

// ".", ".." and names that look like them to tools that split at dashes. Other names may start with a dot.
bool is_dotted(std::string_view name) {
    return name == "." || name == ".." || name.starts_with(".-") || name.starts_with("..-");
}

void check_base_name(std::string_view base_name, std::string_view text) {
    if (base_name.size() < hash_length + 2 || base_name[hash_length] != '-')
        refuse(text, "it must be 32 characters of hash, a dash and a name");
    std::string_view hash = base_name.substr(0, hash_length);
    if (hash.find_first_not_of(base32_alphabet) != std::string_view::npos)
        refuse(text, "its hash has characters outside of Nix's base 32 alphabet");
    std::string_view name = base_name.substr(hash_length + 1);
    if (name.size() > max_name_length)
        refuse(text, fmt::format("its name is longer than {} characters", max_name_length));
    if (!std::all_of(name.begin(), name.end(), is_name_character))
        refuse(text, "its name has characters other than letters, digits and +-._?=");
    if (is_dotted(name))
        refuse(text, "its name reads as a folder");
}

} // namespace

StorePath StorePath::parse(std::string_view text) {
    std::string_view base_name = text.starts_with(store_prefix) ? text.substr(store_prefix.size()) : text;
    check_base_name(base_name, text);
    return StorePath(std::string(base_name));
}

StorePath StorePath::parse_absolute(std::string_view text) {
    if (!text.starts_with(store_prefix))
        refuse(text, "it is not in /nix/store");
    return parse(text);
}

std::string_view StorePath::hash_part() const {
    return std::string_view(base_name_).substr(0, hash_length);
}

std::string_view StorePath::name() const {
    return std::string_view(base_name_).substr(hash_length + 1);
}

std::string StorePath::absolute() const {
    return std::string(store_prefix) + base_name_;
}

} // namespace waggle::nix
