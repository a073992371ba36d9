#include "shared/base/bytes.hpp"
#include "tests/unit/nix/fake_daemon.hpp"

#include <gtest/gtest.h>

#include <map>

namespace waggle::nix {
namespace {

using References = std::map<StorePath, std::vector<StorePath>>;

// Answers QueryPathInfo from a table, until the client closes.
void serve(const Fd& fd, const References& store) {
    Deadline deadline = deadline_in(std::chrono::seconds(10));
    auto number = [&] {
        std::array<std::byte, 8> bytes;
        read_exactly(fd, bytes, deadline);
        return std::to_integer<size_t>(bytes[0]); // all below 256 here
    };
    std::array<std::byte, 32> greeting;
    read_exactly(fd, greeting, deadline);
    write_all(fd, handshake(35), deadline);
    for (;;) {
        number(); // operation
        std::vector<std::byte> text(number());
        size_t length = text.size();
        text.resize((length + 7) / 8 * 8);
        read_exactly(fd, text, deadline);
        StorePath path = StorePath::parse(as_text(std::span<const std::byte>(text).first(length)));
        auto entry = store.find(path);
        PathInfo info{.path = path, .nar_hash = {}, .nar_size = 1, .references = {}, .deriver = {}};
        if (entry != store.end())
            info.references = entry->second;
        write_all(fd, last() + (entry == store.end() ? wire(0) : path_info(info)), deadline);
    }
}

std::vector<StorePath> closure_of(const StorePath& root, const References& store) {
    FakeDaemon fake([&](const Fd& fd) { serve(fd, store); });
    std::vector<StorePath> paths;
    Daemon daemon = fake.connect();
    for (const PathInfo& info : query_closure(daemon, root))
        paths.push_back(info.path);
    return paths;
}

const StorePath a = test_path("a"), b = test_path("b"), c = test_path("c"), d = test_path("d"), e = test_path("e");

TEST(Closure, ListsReferencesBeforeReferrersAndSortsTies) {
    EXPECT_EQ(closure_of(a, {{a, {b, c}}, {b, {d}}, {c, {d}}, {d, {}}, {e, {}}}), (std::vector{d, b, c, a}));
    EXPECT_EQ(closure_of(d, {{a, {}}, {b, {}}, {c, {}}, {d, {a, b, c}}}), (std::vector{a, b, c, d}));
    EXPECT_EQ(closure_of(a, {{a, {e, b}}, {b, {}}, {e, {c}}, {c, {}}}), (std::vector{b, c, e, a}));
}

TEST(Closure, MayReferToItself) {
    EXPECT_EQ(closure_of(a, {{a, {a, b}}, {b, {b}}}), (std::vector{b, a}));
}

TEST(Closure, IsRefusedWhenAPathIsNotValid) {
    EXPECT_THROW(closure_of(a, {{a, {b}}}), Error);
    EXPECT_THROW(closure_of(a, {}), Error);
}

TEST(Closure, IsRefusedWhenReferencesFormACycle) {
    EXPECT_THROW(closure_of(a, {{a, {b}}, {b, {c}}, {c, {b}}}), Error);
}

TEST(Closure, FindsALongChain) {
    References store;
    std::vector<StorePath> chain;
    for (int i = 0; i < 300; ++i)
        chain.push_back(test_path("n" + std::to_string(i)));
    for (size_t i = 0; i < chain.size(); ++i)
        store[chain[i]] = i == 0 ? std::vector<StorePath>{} : std::vector{chain[i - 1]};
    EXPECT_EQ(closure_of(chain.back(), store), chain);
}

} // namespace
} // namespace waggle::nix
