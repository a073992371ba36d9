#include "shared/base/bytes.hpp"
#include "shared/protocol/closure_list.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;

const std::string hash_text(64, '1');

// A small closure: two leaves, one path that refers to both and to itself, and the toplevel.
std::vector<nix::PathInfo> sample_closure() {
    auto glibc = store_path('b', "glibc"), bash = store_path('a', "bash"), unit = store_path('d', "unit"),
         system = store_path('c', "system");
    return {
        {glibc, sha256("glibc"), 30'000'000, {}, {}},
        {bash, sha256("bash"), 1'000, {}, {}},
        {unit, sha256("unit"), 120, {bash, glibc, unit}, {}},
        {system, sha256("system"), 240, {bash, unit}, {}},
    };
}

const nix::StorePath toplevel = store_path('c', "system");

ClosureList read(std::string_view text, const ClosureSummary& expected, size_t piece = 1 << 20,
                 const nix::StorePath& top = toplevel) {
    ClosureListReader reader(expected, top);
    for (size_t at = 0; at < text.size(); at += piece)
        reader.update(text.substr(at, piece));
    return reader.finish();
}

// A summary that matches the text, so that only its lines can be wrong.
ClosureSummary summary_of(std::string_view text) {
    return {sha256(text), text.size(), static_cast<std::uint64_t>(std::ranges::count(text, '\n'))};
}

TEST(ClosureList, HasOneLinePerPath) {
    auto list = make_closure_list(sample_closure());
    EXPECT_EQ(to_text(list), fmt::format("{0}-glibc {4} 30000000 -\n"
                                         "{1}-bash {5} 1000 -\n"
                                         "{2}-unit {6} 120 0,1,2\n"
                                         "{3}-system {7} 240 1,2\n",
                                         std::string(32, 'b'), std::string(32, 'a'), std::string(32, 'd'),
                                         std::string(32, 'c'), to_hex(sha256("glibc")), to_hex(sha256("bash")),
                                         to_hex(sha256("unit")), to_hex(sha256("system"))));
}

TEST(ClosureList, IsReadAsItWasWrittenInPiecesOfAnySize) {
    auto list = make_closure_list(sample_closure());
    auto text = to_text(list);
    auto summary = summarize(text, list);
    EXPECT_EQ(summary, summary_of(text));
    for (size_t piece = 1; piece <= text.size(); ++piece)
        EXPECT_EQ(read(text, summary, piece), list) << piece;
}

TEST(ClosureList, HoldsSizesBeyond4GiB) {
    auto closure = sample_closure();
    closure.front().nar_size = 5'000'000'000;
    const auto list = make_closure_list(closure);
    const auto text = to_text(list);
    EXPECT_THAT(text, testing::HasSubstr(" 5000000000 -\n"));
    EXPECT_EQ(read(text, summary_of(text)).front().nar_size, 5'000'000'000U);
}

TEST(ClosureList, ReturnsThePathInfosOfTheStore) {
    auto closure = sample_closure();
    auto list = make_closure_list(closure);
    for (std::uint32_t i = 0; i < closure.size(); ++i) {
        auto info = path_info(list, i);
        EXPECT_EQ(info.path, closure[i].path);
        EXPECT_EQ(info.nar_hash, closure[i].nar_hash);
        EXPECT_EQ(info.nar_size, closure[i].nar_size);
        EXPECT_EQ(info.references, closure[i].references);
        EXPECT_EQ(info.deriver, std::nullopt);
    }
    EXPECT_THROW(path_info(list, 4), std::out_of_range);
}

TEST(ClosureList, RefusesPathsInTheWrongOrder) {
    auto closure = sample_closure();
    std::swap(closure[2], closure[3]);
    EXPECT_THAT(complaint([&] { make_closure_list(closure); }), HasSubstr("which does not come before it"));
}

TEST(ClosureListReader, IsCompleteWhenAllBytesHaveArrived) {
    auto list = make_closure_list(sample_closure());
    auto text = to_text(list);
    ClosureListReader reader(summarize(text, list), toplevel);
    EXPECT_FALSE(reader.complete());
    reader.update(text.substr(0, text.size() - 1));
    EXPECT_FALSE(reader.complete());
    reader.update("");
    reader.update(text.substr(text.size() - 1));
    EXPECT_TRUE(reader.complete());
    EXPECT_EQ(reader.finish(), list);
}

TEST(ClosureListReader, VerifiesTheListAgainstTheSignedSummary) {
    auto list = make_closure_list(sample_closure());
    auto text = to_text(list);
    const auto summary = summarize(text, list);
    auto with = [&](auto change) {
        auto expected = summary;
        change(expected);
        return complaint([&] { read(text, expected); });
    };
    EXPECT_THAT(with([](ClosureSummary& s) { --s.bytes; }), HasSubstr("longer than the"));
    EXPECT_THAT(with([](ClosureSummary& s) { ++s.bytes; }), HasSubstr("truncated: "));
    EXPECT_THAT(with([](ClosureSummary& s) { s.sha256[0] ^= 1; }), HasSubstr("SHA-256 is not the one that was signed"));
    EXPECT_THAT(with([](ClosureSummary& s) { --s.paths; }), HasSubstr("line 4: more than the 3 paths"));
    EXPECT_THAT(with([](ClosureSummary& s) { ++s.paths; }), HasSubstr("it has 4 paths, 5 were signed"));
    EXPECT_THAT(complaint([&] { read(text, summary, 1 << 20, store_path('f', "system")); }),
                HasSubstr("the toplevel /nix/store/ffffffffffffffffffffffffffffffff-system is not in it"));
}

TEST(ClosureListReader, RefusesATooLongListAtOnce) {
    ClosureListReader reader({sha256("x"), 10, 1}, toplevel);
    reader.update("0123456789");
    EXPECT_THAT(complaint([&] { reader.update("x"); }), HasSubstr("longer than the 10 bytes"));
}

// The maximum that a deployment may name. The lines are read one by one, and only the list grows.
TEST(ClosureListReader, ReadsAMillionLinesAndNotOneMore) {
    const auto line = [](std::uint64_t number) { // digits are also letters of Nix's base 32
        return fmt::format("{:032}-x {} 1 -\n", number, hash_text);
    };
    std::string text;
    for (std::uint64_t i = 0; i < max_closure_paths; ++i)
        text += line(i);
    Sha256 hash;
    hash.update(text);
    const ClosureSummary summary{hash.finish(), text.size(), max_closure_paths};
    ClosureListReader reader(summary, store_path('0', "x"));
    reader.update(text);
    EXPECT_TRUE(reader.complete());
    EXPECT_THAT(complaint([&] { reader.update(line(max_closure_paths)); }), HasSubstr("longer than"));
    EXPECT_EQ(reader.finish().size(), max_closure_paths);
}

TEST(ClosureListReader, RefusesATruncatedList) {
    auto list = make_closure_list(sample_closure());
    auto text = to_text(list);
    auto summary = summarize(text, list);
    for (size_t length = 0; length < text.size(); ++length)
        EXPECT_THAT(complaint([&] { read(text.substr(0, length), summary); }), HasSubstr("truncated")) << length;
}

TEST(ClosureListReader, RefusesAFlippedBitAnywhere) {
    auto list = make_closure_list(sample_closure());
    auto text = to_text(list);
    auto summary = summarize(text, list);
    for (size_t bit = 0; bit < text.size() * 8; ++bit) {
        auto flipped = text;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
        EXPECT_NE(complaint([&] { read(flipped, summary); }), "") << "bit " << bit;
    }
}

// Invalid lines in a signed list, each with its line number and its error.
TEST(ClosureListReader, RefusesABadLineAndNamesIt) {
    auto good = [](char c, std::string_view name, std::string_view references) {
        return fmt::format("{}-{} {} 1 {}\n", std::string(32, c), name, hash_text, references);
    };
    auto top = good('c', "system", "0");
    auto leaf = good('a', "leaf", "-");
    ASSERT_EQ(complaint([&] { read(leaf + top, summary_of(leaf + top)); }), "");
    struct Case {
        std::string text;
        const char* said;
    };
    auto a = std::string(32, 'a') + "-leaf ";
    const Case cases[] = {
        {"\n" + top, "line 1: "},
        {"/etc/passwd " + hash_text + " 1 -\n" + top, "line 1: \"/etc/passwd\" is not in the store"},
        {"/nix/store/" + a + hash_text + " 1 -\n" + top, "line 1: "},
        {"../" + a + hash_text + " 1 -\n" + top, "line 1: "},
        {std::string(32, 'e') + "-x " + hash_text + " 1 -\n" + top, "line 1: "}, // e is not in Nix's alphabet
        {"short-x " + hash_text + " 1 -\n" + top, "line 1: "},
        {a + "\n" + top, "line 1: the second field is not a SHA-256"},
        {a + hash_text.substr(2) + " 1 -\n" + top, "line 1: the second field is not a SHA-256"},
        {a + "sha256:" + hash_text + " 1 -\n" + top, "line 1: the second field is not a SHA-256"},
        {a + hash_text + " 0 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " -1 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " +1 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " 01 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " 1x -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + "  -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " 99999999999999999999 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " 9007199254740992 -\n" + top, "line 1: the third field is not a NAR's size"},
        {a + hash_text + " 1\n" + top, "line 1: the references are missing"},
        {a + hash_text + " 1 \n" + top, "line 1: the references are missing"},
        {a + hash_text + " 1 - \n" + top, "line 1: the reference \"- \" is not a number"},
        {leaf + good('c', "system", "0,"), "line 2: the references end in a comma"},
        {leaf + good('c', "system", ",0"), "line 2: the reference \"\" is not a number"},
        {leaf + good('c', "system", "0,0"), "line 2: the references are not in ascending order"},
        {leaf + good('c', "system", "1,0"), "line 2: the references are not in ascending order"},
        {leaf + good('c', "system", "00"), "line 2: the reference \"00\" is not a number"},
        {leaf + good('c', "system", "0 "), "line 2: the reference \"0 \" is not a number"},
        {leaf + good('c', "system", "0\r"), "line 2: the reference \"0\\r\" is not a number"},
        {leaf + good('c', "system", "18446744073709551616"),
         "line 2: the reference \"18446744073709551616\" is not a number"},
        {leaf + good('c', "system", "4294967296"),
         "line 2: it refers to path 4294967296, which does not come before it"},
        {good('a', "leaf", "1") + top, "line 1: it refers to path 1, which does not come before it"}, // a cycle
        {leaf + good('b', "leaf", "3") + top, "line 2: it refers to path 3, which does not come before it"},
        {leaf + good('b', "x", "-") + leaf + top,
         "line 3: /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-leaf is there a second time"},
        {leaf + top + top, "line 3: /nix/store/cccccccccccccccccccccccccccccccc-system is there a second time"},
        {leaf, "the toplevel /nix/store/cccccccccccccccccccccccccccccccc-system is not in it"},
        {leaf + top.substr(0, top.size() - 1), "line 2: the last line does not end"},
        {"", "the toplevel"},
    };
    for (const auto& c : cases)
        EXPECT_THAT(complaint([&] { read(c.text, summary_of(c.text)); }), HasSubstr(c.said)) << c.text;
}

TEST(ClosureListReader, ReadsOrRefusesRandomText) {
    const auto good = to_text(make_closure_list(sample_closure()));
    std::mt19937 random(1); // the same cases in every run
    for (int i = 0; i < 3000; ++i) {
        auto text = good;
        for (auto count = random() % 6 + 1; count > 0; --count)
            text[random() % text.size()] = "0123456789abc -,\n/\0\xff"[random() % 19];
        complaint([&] { read(text, summary_of(text), 1 + random() % 64); }); // any other exception fails the test
    }
}

} // namespace
} // namespace waggle::protocol
