#include "shared/protocol/closure_list.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>

namespace waggle::protocol {

namespace {

constexpr std::string_view no_references = "-";

// Decimal, without sign or leading zeros, so that each list has only one text.
std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    return number;
}

[[noreturn]] void fail(std::string_view problem) {
    throw BadDocument(fmt::format("closure list: {}", problem));
}

[[noreturn]] void fail_line(size_t number, std::string_view problem) {
    throw BadDocument(fmt::format("closure list, line {}: {}", number, problem));
}

// Removes the part up to the separator, and the separator, and returns the part.
std::string_view take(std::string_view& rest, char separator) {
    auto end = std::min(rest.find(separator), rest.size());
    auto part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

} // namespace

ClosureList make_closure_list(const std::vector<nix::PathInfo>& closure) {
    ClosureList list;
    list.reserve(closure.size());
    std::map<std::string_view, std::uint32_t> index_of;
    for (const auto& info : closure) {
        auto own = static_cast<std::uint32_t>(list.size());
        index_of.emplace(info.path.base_name(), own);
        ClosureEntry entry{info.path, info.nar_hash, info.nar_size, {}};
        for (const auto& reference : info.references) {
            auto found = index_of.find(reference.base_name());
            if (found == index_of.end())
                fail(fmt::format("{} refers to {}, which does not come before it", info.path.absolute(),
                                 reference.absolute()));
            entry.references.push_back(found->second);
        }
        std::ranges::sort(entry.references);
        list.push_back(std::move(entry));
    }
    return list;
}

std::string to_text(const ClosureList& list) {
    std::string text;
    for (const auto& entry : list) {
        fmt::format_to(std::back_inserter(text), "{} {} {} ", entry.path.base_name(), to_hex(entry.nar_hash),
                       entry.nar_size);
        if (entry.references.empty())
            text += no_references;
        else
            fmt::format_to(std::back_inserter(text), "{}", fmt::join(entry.references, ","));
        text += '\n';
    }
    return text;
}

ClosureSummary summarize(std::string_view text, const ClosureList& list) {
    return {sha256(text), text.size(), list.size()};
}

nix::PathInfo path_info(const ClosureList& list, std::uint32_t index) {
    const auto& entry = list.at(index);
    nix::PathInfo info{entry.path, entry.nar_hash, entry.nar_size, {}, {}};
    for (auto reference : entry.references)
        info.references.push_back(list.at(reference).path);
    std::ranges::sort(info.references);
    return info;
}

ClosureListReader::ClosureListReader(const ClosureSummary& expected, const nix::StorePath& toplevel)
    : expected_(expected), toplevel_(toplevel) {}

void ClosureListReader::update(std::string_view text) {
    if (text.size() > expected_.bytes - bytes_)
        fail(fmt::format("longer than the {} bytes that were signed", expected_.bytes));
    bytes_ += text.size();
    hash_.update(text);
    while (!text.empty()) {
        auto end = text.find('\n');
        if (end == text.npos) {
            rest_.append(text);
            return;
        }
        if (rest_.empty()) {
            read_line(text.substr(0, end));
        } else {
            rest_.append(text.substr(0, end));
            read_line(rest_);
            rest_.clear();
        }
        text.remove_prefix(end + 1);
    }
}

bool ClosureListReader::complete() const {
    return bytes_ == expected_.bytes;
}

void ClosureListReader::read_line(std::string_view line) {
    auto number = list_.size() + 1;
    if (list_.size() >= expected_.paths)
        fail_line(number, fmt::format("more than the {} paths that were signed", expected_.paths));
    auto name = take(line, ' ');
    auto hash = from_hex(take(line, ' '));
    auto size = parse_number(take(line, ' '));
    auto references = line;

    auto path = [&] {
        // Only a base name is valid: a path outside the store has a slash.
        if (name.find('/') != name.npos)
            fail_line(number, fmt::format("{} is not in the store", in_quotes(name)));
        try {
            return nix::StorePath::parse(name);
        } catch (const nix::BadStorePath& error) {
            fail_line(number, error.what());
        }
    }();
    ClosureEntry entry{std::move(path), {}, 0, {}};
    if (!hash || hash->size() != entry.nar_hash.size())
        fail_line(number, "the second field is not a SHA-256 (64 lower-case hexadecimal digits)");
    std::ranges::copy(*hash, entry.nar_hash.begin());
    if (!size || *size == 0 || *size > static_cast<std::uint64_t>(max_safe_integer))
        fail_line(number, "the third field is not a NAR's size");
    entry.nar_size = *size;

    if (references.empty())
        fail_line(number, "the references are missing");
    if (references != no_references) {
        entry.references.reserve(static_cast<size_t>(std::ranges::count(references, ',')) + 1);
        if (references.ends_with(','))
            fail_line(number, "the references end in a comma");
        while (!references.empty()) {
            auto text = take(references, ',');
            auto index = parse_number(text);
            if (!index)
                fail_line(number, fmt::format("the reference {} is not a number", in_quotes(text)));
            if (*index > list_.size())
                fail_line(number, fmt::format("it refers to path {}, which does not come before it", *index));
            if (!entry.references.empty() && *index <= entry.references.back())
                fail_line(number, "the references are not in ascending order");
            entry.references.push_back(static_cast<std::uint32_t>(*index));
        }
    }
    list_.push_back(std::move(entry));
}

ClosureList ClosureListReader::finish() {
    if (!complete())
        fail(fmt::format("truncated: {} of {} bytes arrived", bytes_, expected_.bytes));
    if (!rest_.empty())
        fail_line(list_.size() + 1, "the last line does not end");
    if (hash_.finish() != expected_.sha256)
        fail("its SHA-256 is not the one that was signed");
    if (list_.size() != expected_.paths)
        fail(fmt::format("it has {} paths, {} were signed", list_.size(), expected_.paths));

    // Sorts positions in the order of the paths. Equal paths are then neighbours, the earlier one first.
    std::vector<std::uint32_t> order(list_.size());
    std::iota(order.begin(), order.end(), 0U);
    auto path_at = [this](std::uint32_t index) -> const nix::StorePath& { return list_[index].path; };
    std::ranges::stable_sort(order, {}, path_at);
    if (auto twice = std::ranges::adjacent_find(order, {}, path_at); twice != order.end())
        fail_line(*std::next(twice) + size_t{1}, fmt::format("{} is there a second time", path_at(*twice).absolute()));
    auto found = std::ranges::lower_bound(order, toplevel_, {}, path_at);
    if (found == order.end() || path_at(*found) != toplevel_)
        fail(fmt::format("the toplevel {} is not in it", toplevel_.absolute()));
    return std::move(list_);
}

} // namespace waggle::protocol
