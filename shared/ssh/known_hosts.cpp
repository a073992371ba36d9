#include "shared/ssh/known_hosts.hpp"

#include "shared/ssh/take_word.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <optional>
#include <string>

namespace waggle::ssh {

namespace {

constexpr std::uint16_t ssh_port = 22;

std::string lower_case(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// Shell-like: `*` matches any run of characters, `?` any single one. Returning to the last `*` only is enough, and
// keeps the time proportional to the product of the lengths.
bool matches_pattern(std::string_view text, std::string_view pattern) {
    size_t t = 0, p = 0, star = pattern.npos, star_text = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != pattern.npos) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

// "|1|<salt>|<HMAC-SHA1 of the name with the salt as key>", both in base64: HashKnownHosts in ssh_config(5).
bool matches_hashed(std::string_view name, std::string_view hashed) {
    constexpr std::string_view prefix = "|1|";
    constexpr size_t sha1_bytes = 20;
    if (!hashed.starts_with(prefix))
        return false;
    hashed.remove_prefix(prefix.size());
    auto bar = hashed.find('|');
    if (bar == hashed.npos)
        return false;
    auto salt = from_base64(hashed.substr(0, bar));
    auto hash = from_base64(hashed.substr(bar + 1));
    if (!salt || salt->size() != sha1_bytes || !hash || hash->size() != sha1_bytes)
        return false;
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    auto* done = HMAC(EVP_sha1(), salt->data(), static_cast<int>(salt->size()),
                      reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data(), &size);
    return done != nullptr && size == sha1_bytes && std::equal(hash->begin(), hash->end(), digest.begin());
}

// The first field of a line: one hashed name, or patterns separated by commas, of which no matching one may be negated.
bool names_host(std::string_view field, std::string_view name) {
    if (field.starts_with('|'))
        return matches_hashed(name, field);
    bool found = false;
    while (!field.empty()) {
        auto comma = std::min(field.find(','), field.size());
        auto pattern = lower_case(field.substr(0, comma));
        field.remove_prefix(std::min(comma + 1, field.size()));
        bool negated = pattern.starts_with('!');
        if (matches_pattern(name, std::string_view(pattern).substr(negated ? 1 : 0))) {
            if (negated)
                return false;
            found = true;
        }
    }
    return found;
}

struct Line {
    std::string_view marker; // "@revoked", "@cert-authority" or empty
    std::string_view hosts;
    std::string_view key_type;
    std::string_view key; // type, blob and comment
};

std::optional<Line> split(std::string_view text) {
    text = text.substr(0, text.find_last_not_of(" \t\r") + 1);
    Line line;
    auto word = take_word(text);
    if (word.empty() || word.starts_with('#'))
        return std::nullopt;
    if (word.starts_with('@')) {
        line.marker = word;
        word = take_word(text);
    }
    line.hosts = word;
    line.key = text;
    line.key_type = take_word(text);
    return line;
}

template <class T>
void add_once(std::vector<T>& list, T item) {
    if (std::ranges::find(list, item) == list.end())
        list.push_back(std::move(item));
}

void add_lines_for(KnownHost& found, std::string_view text, std::string_view name) {
    while (!text.empty()) {
        auto end = std::min(text.find('\n'), text.size());
        auto line = split(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line || (!line->marker.empty() && line->marker != "@revoked") || !names_host(line->hosts, name))
            continue;
        bool revoked = line->marker == "@revoked";
        if (!describe_other_type(line->key_type).empty()) {
            if (!revoked)
                add_once(found.other_types, std::string{line->key_type});
            continue;
        }
        try {
            add_once(revoked ? found.revoked : found.keys, PublicKey::parse(line->key));
        } catch (const BadKey&) {
            continue;
        }
    }
}

} // namespace

std::string known_hosts_name(std::string_view host, std::uint16_t port) {
    auto name = lower_case(host);
    return port == ssh_port ? name : fmt::format("[{}]:{}", name, port);
}

KnownHost find_known_host(std::string_view known_hosts_text, std::string_view host, std::uint16_t port) {
    KnownHost found;
    add_lines_for(found, known_hosts_text, known_hosts_name(host, port));
    if (port != ssh_port) {
        // As in OpenSSH, the name without the port counts if the one with it has no key. A revoked key is revoked
        // either way.
        KnownHost plain;
        add_lines_for(plain, known_hosts_text, known_hosts_name(host, ssh_port));
        for (const auto& key : plain.revoked)
            add_once(found.revoked, key);
        if (found.keys.empty()) {
            found.keys = std::move(plain.keys);
            for (auto& type : plain.other_types)
                add_once(found.other_types, std::move(type));
        }
    }
    std::erase_if(found.keys,
                  [&](const PublicKey& key) { return std::ranges::find(found.revoked, key) != found.revoked.end(); });
    return found;
}

} // namespace waggle::ssh
