#include "agent/daemon/fetch.hpp"
#include "shared/base/bytes.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace waggle::agent {
namespace {

using protocol::LocalContent;
using testing::AllOf;
using testing::HasSubstr;

// Serves the wanted NARs in pieces; `tamper` may change each before it is passed on.
class TestFeed : public Feed {
public:
    explicit TestFeed(const TestClosure& closure) : closure_(closure), text_(closure.text) {}

    std::string_view next_list_piece() override {
        if (text_sent_ == text_.size())
            throw net::ConnectionLost("the test has no more of the list");
        piece_ = text_.substr(text_sent_, 50);
        text_sent_ += piece_.size();
        return piece_;
    }

    std::string_view next_bundle_piece() override { throw net::ConnectionLost("the test has no secrets"); }

    void want(std::vector<std::uint32_t> indices) override {
        wants.push_back(indices);
        for (const auto index : indices)
            for (size_t start = 0; start < closure_.nars[index].size(); start += piece_bytes)
                pieces_.push_back({index, closure_.nars[index].substr(start, piece_bytes)});
    }

    protocol::NarPiece next_nar_piece() override {
        if (pieces_.empty())
            throw net::ConnectionLost("the test sends nothing more");
        auto [index, bytes] = std::move(pieces_.front());
        pieces_.pop_front();
        if (tamper)
            tamper(index, bytes);
        piece_ = std::move(bytes);
        return {index, piece_};
    }

    static constexpr size_t piece_bytes = 100'000;
    std::function<void(std::uint32_t& index, std::string& bytes)> tamper;
    std::vector<std::vector<std::uint32_t>> wants;
    std::string& text() { return text_; }

private:
    const TestClosure& closure_;
    std::string text_;
    size_t text_sent_ = 0;
    std::deque<std::pair<std::uint32_t, std::string>> pieces_;
    std::string piece_;
};

class Fetch : public testing::Test {
protected:
    FetchProgress run(LocalContent local_content = LocalContent::trust_node) {
        FakeStore store(content);
        UnsyncedPaths unsynced(folder.path() / "unsynced", boot);
        return fetch(closure.list, store, feed, unsynced,
                     {.local_content = local_content,
                      .free_bytes = free_bytes,
                      .on_progress = [&](const FetchProgress& now) { progress.push_back(now); },
                      .on_note = [&](const std::string& text) { notes.push_back(text); }});
    }

    // The code of the failure; the store must not have the path then.
    std::string failure(LocalContent local_content = LocalContent::trust_node) {
        try {
            run(local_content);
            return "none";
        } catch (const NotActivated& error) {
            message = error.what();
            return error.code();
        }
    }

    void make_valid(std::uint32_t index) {
        auto info = protocol::path_info(closure.list, index);
        content.valid.emplace(info.path, info);
    }
    nix::PathInfo& valid(std::uint32_t index) { return content.valid.at(closure.list[index].path); }

    const TestClosure closure = test_closure();
    TemporaryFolder folder; // the state directory
    std::string boot = "boot-1";
    FakeStoreContent content;
    TestFeed feed{closure};
    std::uint64_t free_bytes = std::uint64_t{1} << 40;
    std::vector<FetchProgress> progress;
    std::vector<std::string> notes;
    std::string message;
};

TEST_F(Fetch, FetchesEverythingIntoAnEmptyStore) {
    const auto done = run();
    EXPECT_EQ(done.paths_done, 3);
    EXPECT_EQ(done.bytes_done, done.bytes_total);
    ASSERT_EQ(content.valid.size(), 3);
    for (size_t i = 0; i < 3; ++i)
        EXPECT_EQ(content.nars[closure.list[i].path], closure.nars[i]);
    EXPECT_EQ(feed.wants, (std::vector<std::vector<std::uint32_t>>{{0, 1, 2}}));
    EXPECT_EQ(progress.front().paths_done, 0);
    EXPECT_EQ(progress.back().paths_done, 3);
}

TEST_F(Fetch, RequestsOnlyMissingPaths) {
    make_valid(0);
    make_valid(2);
    EXPECT_EQ(run().paths_done, 1);
    EXPECT_EQ(feed.wants, (std::vector<std::vector<std::uint32_t>>{{1}}));
}

TEST_F(Fetch, SyncsTheStoreIfAnythingWasFetched) {
    run();
    EXPECT_EQ(content.syncs, 1);
    run();
    EXPECT_EQ(content.syncs, 1) << "nothing came, nothing is to be synced";
}

TEST_F(Fetch, SyncsThePathsOfAnInterruptedFetch) {
    feed.tamper = [](std::uint32_t index, std::string&) {
        if (index == 2)
            throw net::ConnectionLost("killed here");
    };
    EXPECT_THROW(run(), net::ConnectionLost);
    EXPECT_EQ(content.syncs, 0);
    feed.tamper = {};
    make_valid(2); // now all paths are valid
    EXPECT_EQ(run().paths_total, 0);
    EXPECT_EQ(content.syncs, 1);
}

TEST_F(Fetch, VerifiesUnsyncedPathsAfterAPowerCut) {
    make_valid(0);
    feed.tamper = [](std::uint32_t index, std::string&) {
        if (index == 2)
            throw net::ConnectionLost("the power is cut here");
    };
    EXPECT_THROW(run(), net::ConnectionLost);
    feed.tamper = {};
    content.emptied = {closure.list[0].path, closure.list[1].path}; // the former existed before the fetch
    content.nars.erase(closure.list[1].path);
    feed.wants.clear();

    boot = "boot-2";
    EXPECT_EQ(run().paths_done, 2);
    EXPECT_EQ(feed.wants, (std::vector<std::vector<std::uint32_t>>{{1, 2}}));
    EXPECT_EQ(content.nars[closure.list[1].path], closure.nars[1]);
    EXPECT_THAT(notes, testing::ElementsAre(testing::HasSubstr("lost their content")));

    content.emptied = {closure.list[1].path};
    EXPECT_EQ(run().paths_total, 0) << "it was looked at, once";
}

TEST_F(Fetch, VerifiesUnsyncedPathsAfterASecondPowerCut) {
    for (const char* now : {"boot-1", "boot-2"}) {
        boot = now;
        feed.tamper = [](std::uint32_t index, std::string&) {
            if (index == 2)
                throw net::ConnectionLost("the power is cut here");
        };
        EXPECT_THROW(run(), net::ConnectionLost);
    }
    feed.tamper = {};
    boot = "boot-3";
    content.emptied = {closure.list[0].path};
    EXPECT_EQ(run().paths_done, 2);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "unsynced"));
}

TEST_F(Fetch, RequestsNothingWhenAllPathsAreValid) {
    for (std::uint32_t i = 0; i < 3; ++i)
        make_valid(i);
    EXPECT_EQ(run().paths_total, 0);
    EXPECT_TRUE(feed.wants.empty());
    EXPECT_TRUE(progress.empty());
}

TEST_F(Fetch, KeepsAndNamesLocalContentThatDiffers) {
    for (std::uint32_t i = 0; i < 3; ++i)
        make_valid(i);
    valid(1).nar_hash = sha256("built elsewhere");
    run();
    ASSERT_EQ(notes.size(), 1);
    EXPECT_NE(notes[0].find("-app"), std::string::npos);
    EXPECT_EQ(valid(1).nar_hash, sha256("built elsewhere"));
}

TEST_F(Fetch, ExactRefusesADifferentHashBeforeRequestingAnything) {
    make_valid(0);
    valid(0).nar_hash = sha256("built elsewhere");
    EXPECT_EQ(failure(LocalContent::exact), "local-content-differs");
    EXPECT_TRUE(feed.wants.empty());
}

TEST_F(Fetch, ExactRefusesAnotherSize) {
    make_valid(0);
    valid(0).nar_size += 1;
    EXPECT_EQ(failure(LocalContent::exact), "local-content-differs");
}

TEST_F(Fetch, ExactRefusesOtherReferences) {
    make_valid(1);
    valid(1).references.clear();
    EXPECT_EQ(failure(LocalContent::exact), "local-content-differs");
}

TEST_F(Fetch, ExactTakesEqualContent) {
    make_valid(0);
    EXPECT_EQ(failure(LocalContent::exact), "none");
}

TEST_F(Fetch, RefusesAFlippedBitAndRegistersNothing) {
    feed.tamper = [&](std::uint32_t& index, std::string& bytes) {
        if (index == 1)
            bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    };
    EXPECT_EQ(failure(), "wrong-hash");
    EXPECT_NE(message.find(closure.list[1].path.absolute()), std::string::npos);
    EXPECT_TRUE(content.valid.contains(closure.list[0].path)); // the one before it was right
    EXPECT_FALSE(content.valid.contains(closure.list[1].path));
}

TEST_F(Fetch, RefusesBytesBeyondTheSignedSize) {
    feed.tamper = [](std::uint32_t& index, std::string& bytes) {
        if (index == 0)
            bytes += "more";
    };
    EXPECT_EQ(failure(), "wrong-size");
    EXPECT_TRUE(content.valid.empty());
}

TEST_F(Fetch, RefusesTheNextPathBeforeTheEndOfThisOne) {
    feed.tamper = [](std::uint32_t& index, std::string& bytes) {
        if (index == 0)
            bytes.pop_back();
    };
    EXPECT_EQ(failure(), "wrong-path");
    EXPECT_TRUE(content.valid.empty());
}

TEST_F(Fetch, RefusesAPathThatWasNotRequested) {
    feed.tamper = [](std::uint32_t& index, std::string&) { index = 2; };
    EXPECT_EQ(failure(), "wrong-path");
}

TEST_F(Fetch, RefusesAnEmptyPiece) {
    feed.tamper = [](std::uint32_t&, std::string& bytes) { bytes.clear(); };
    EXPECT_EQ(failure(), "wrong-size");
}

TEST_F(Fetch, RegistersNoPartialPathWhenTheSessionEnds) {
    int pieces = 0;
    feed.tamper = [&](std::uint32_t&, std::string&) {
        if (++pieces == 4)
            throw net::ConnectionLost("cut");
    };
    EXPECT_THROW(run(), net::ConnectionLost);
    EXPECT_EQ(content.valid.size(), 1);
}

TEST_F(Fetch, RefusesBeforeFetchingWhenSpaceIsShort) {
    free_bytes = 65 << 20;
    EXPECT_EQ(failure(), "no-space");
    EXPECT_TRUE(feed.wants.empty());
}

TEST(StoreFailures, HaveTheirOwnCodeForAFullStore) {
    for (const char* said :
         {"writing to file: No space left on device", "executing SQLite statement: database or disk is full"}) {
        const auto failure = store_failure(nix::DaemonError(said));
        EXPECT_EQ(failure.code, "no-space");
        EXPECT_THAT(failure.message,
                    AllOf(HasSubstr("/nix is full"), HasSubstr("nix-collect-garbage"), HasSubstr(said)));
    }
    EXPECT_EQ(store_failure(nix::DaemonError("the database is locked")).code, "store-error");
}

TEST(FetchOfManyPaths, RequestsPathsInSeveralMessages) {
    TestClosure closure;
    const size_t count = 2 * protocol::max_want_indices + 100;
    for (size_t i = 0; i < count; ++i) {
        auto nar = "nar " + std::to_string(i);
        closure.list.push_back({test_path('a', "p" + std::to_string(i)), sha256(nar), nar.size(), {}});
        closure.nars.push_back(std::move(nar));
    }
    FakeStoreContent content;
    FakeStore store(content);
    TestFeed feed(closure);
    const TemporaryFolder folder;
    UnsyncedPaths unsynced(folder.path() / "unsynced", "boot-1");
    const auto done =
        fetch(closure.list, store, feed, unsynced,
              {.free_bytes = std::uint64_t{1} << 40, .on_progress = [](const FetchProgress&) {}, .on_note = {}});
    EXPECT_EQ(done.paths_done, count);
    ASSERT_EQ(feed.wants.size(), 3);
    for (const auto& want : feed.wants)
        EXPECT_LE(want.size(), protocol::max_want_indices);
}

// On 32-bit boards, size_t is limited to 4 GiB.
constexpr std::uint64_t five_gib = std::uint64_t{5} << 30;

// Counts the bytes that it receives, and stores nothing.
class CountingStore : public FakeStore {
public:
    using FakeStore::FakeStore;
    void add_to_store(const nix::PathInfo&, const nix::NarSource& nar, bool) override {
        std::vector<std::byte> buffer(protocol::data_piece_bytes);
        while (const auto size = nar(buffer))
            received += size;
    }
    std::uint64_t received = 0;
};

// An endless NAR of zeros.
class ZerosFeed : public Feed {
public:
    std::string_view next_list_piece() override { throw net::ConnectionLost("the test has no list"); }
    std::string_view next_bundle_piece() override { throw net::ConnectionLost("the test has no secrets"); }
    void want(std::vector<std::uint32_t>) override {}
    protocol::NarPiece next_nar_piece() override { return {0, piece_}; }

private:
    const std::string piece_ = std::string(protocol::data_piece_bytes, '\0');
};

TEST(FetchOfALargePath, CountsAndChecksAllOfItsBytes) {
    // head -c 5G /dev/zero | sha256sum
    Sha256Digest hash;
    std::ranges::copy(from_hex("7f06c62352aebd8125b2a1841e2b9e1ffcbed602f381c3dcb3200200e383d1d5").value(),
                      hash.begin());
    const protocol::ClosureList list{{test_path('a', "large"), hash, five_gib, {}}};
    FakeStoreContent content;
    CountingStore store(content);
    ZerosFeed feed;
    const TemporaryFolder folder;
    UnsyncedPaths unsynced(folder.path() / "unsynced", "boot-1");
    const auto done =
        fetch(list, store, feed, unsynced,
              {.free_bytes = std::uint64_t{1} << 40, .on_progress = [](const FetchProgress&) {}, .on_note = {}});
    EXPECT_EQ(store.received, five_gib);
    EXPECT_EQ(done.bytes_done, five_gib);
    EXPECT_EQ(done.bytes_total, five_gib);
}

TEST(FetchOfALargePath, IsRefusedWhenSpaceIsShort) {
    const protocol::ClosureList list{{test_path('a', "large"), sha256("large"), five_gib, {}},
                                     {test_path('b', "other"), sha256("other"), five_gib, {}}};
    EXPECT_EQ(plan_fetch(list, {std::nullopt, std::nullopt}).missing_bytes, 2 * five_gib);
    FakeStoreContent content;
    FakeStore store(content);
    ZerosFeed feed;
    const TemporaryFolder folder;
    UnsyncedPaths unsynced(folder.path() / "unsynced", "boot-1");
    try {
        fetch(list, store, feed, unsynced, {.free_bytes = 2 * five_gib - 1, .on_progress = {}, .on_note = {}});
        FAIL() << "it was fetched";
    } catch (const NotActivated& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("has 10239 MiB free, but 10241 MiB are missing"));
    }
}

class ClosureListFetch : public testing::Test {
protected:
    std::string failure() {
        try {
            receive_closure_list(summary, closure.toplevel(), feed);
            return "none";
        } catch (const NotActivated& error) {
            return error.code();
        }
    }
    // Replaces the list and its summary, as if an operator had signed this text.
    void replace_text(std::string text) {
        summary.sha256 = sha256(text);
        summary.bytes = text.size();
        feed.text() = std::move(text);
    }
    static std::string replaced(std::string text, std::string_view from, std::string_view to) {
        return text.replace(text.find(from), from.size(), to);
    }

    const TestClosure closure = test_closure();
    protocol::ClosureSummary summary = closure.summary;
    TestFeed feed{closure};
};

TEST_F(ClosureListFetch, ReadsItPieceByPiece) {
    EXPECT_EQ(receive_closure_list(summary, closure.toplevel(), feed), closure.list);
}

TEST_F(ClosureListFetch, RefusesAChangedList) {
    feed.text() = replaced(closure.text, "-app", "-apq");
    EXPECT_EQ(failure(), "bad-closure-list");
}

TEST_F(ClosureListFetch, RefusesATruncatedList) {
    replace_text(closure.text.substr(0, closure.text.rfind('\n', closure.text.size() - 2) + 1));
    EXPECT_EQ(failure(), "bad-closure-list");
}

TEST_F(ClosureListFetch, RefusesACycle) {
    const auto line_end = closure.text.find(" 0\n");
    replace_text(closure.text.substr(0, line_end) + " 1\n" + closure.text.substr(line_end + 3));
    EXPECT_EQ(failure(), "bad-closure-list");
}

TEST_F(ClosureListFetch, RefusesAPathOutsideTheStore) {
    replace_text("../../etc/" + closure.text);
    EXPECT_EQ(failure(), "bad-closure-list");
}

TEST_F(ClosureListFetch, RefusesAListWithoutTheToplevel) {
    replace_text(replaced(closure.text, "-nixos-system-alpha", "-nixos-system-beta"));
    EXPECT_EQ(failure(), "bad-closure-list");
}

} // namespace
} // namespace waggle::agent
