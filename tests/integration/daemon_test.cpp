// The worker protocol against real daemons: this machine's Nix and those of two later Debian releases.

#include "shared/base/bytes.hpp"
#include "shared/nix/daemon.hpp"
#include "shared/nix/nar_hash.hpp"
#include "tests/integration/private_nix.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <filesystem>
#include <iostream>

namespace waggle::nix {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr seconds stall_timeout{20};

std::string wire(std::uint64_t number) {
    std::string bytes(8, '\0');
    for (size_t i = 0; i < 8; ++i)
        bytes[i] = static_cast<char>(number >> (8 * i) & 0xff);
    return bytes;
}

std::string str(std::string_view text) {
    std::string bytes = wire(text.size()) + std::string(text);
    bytes.resize((bytes.size() + 7) / 8 * 8);
    return bytes;
}

std::string file_node(std::string_view content, bool executable = false) {
    return str("(") + str("type") + str("regular") + (executable ? str("executable") + str("") : "") + str("contents") +
           str(content) + str(")");
}

std::string folder_node(const std::vector<std::pair<std::string, std::string>>& entries) {
    std::string node = str("(") + str("type") + str("directory");
    for (const auto& [name, entry] : entries)
        node += str("entry") + str("(") + str("name") + str(name) + str("node") + entry + str(")");
    return node + str(")");
}

std::string nar(const std::string& node) {
    return str("nix-archive-1") + node;
}

// A path and its content; the hash in the name is derived from the name, as nothing checks it.
struct Object {
    PathInfo info;
    std::string nar;
};

StorePath path_named(std::string_view name) {
    static constexpr std::string_view alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
    std::string hash;
    for (std::uint8_t byte : sha256(name))
        hash += alphabet[byte % 32];
    return StorePath::parse(hash + "-" + std::string(name));
}

Object object(std::string_view name, std::vector<StorePath> references = {}, size_t padding = 0) {
    std::string text(padding, '.');
    for (const StorePath& reference : references)
        text += reference.absolute() + "\n";
    std::string link = str("(") + str("type") + str("symlink") + str("target") + str("bin/run") + str(")");
    std::string content = nar(folder_node({{"bin", folder_node({{"run", file_node("#!/bin/sh\n", true)}})},
                                           {"link", link},
                                           {"text", file_node(text + std::string(name))}}));
    std::sort(references.begin(), references.end());
    return {{.path = path_named(name),
             .nar_hash = sha256(content),
             .nar_size = content.size(),
             .references = std::move(references),
             .deriver = path_named(std::string(name) + ".drv")},
            content};
}

NarSource source_of(const std::string& bytes, bool throws_at_end = false) {
    return [&bytes, throws_at_end, at = size_t{0}](std::span<std::byte> buffer) mutable {
        size_t count = std::min(buffer.size(), bytes.size() - at);
        if (count == 0 && throws_at_end)
            throw std::runtime_error("the laptop is gone");
        std::memcpy(buffer.data(), bytes.data() + at, count);
        at += count;
        return count;
    };
}

void add(Daemon& daemon, const Object& object) {
    daemon.add_to_store_nar(object.info, source_of(object.nar));
}

class RealDaemon : public test::WithPrivateNix {
protected:
    Daemon open() const { return Daemon::spawn(nix->command({"nix-daemon", "--stdio"}), stall_timeout); }

    bool is_valid(const StorePath& path) const { return !open().query_valid_paths(std::array{path}).empty(); }

    void collect_garbage() const { nix->run({"nix-store", "--gc"}); }
};

INSTANTIATE_TEST_SUITE_P(Nix, RealDaemon, testing::Values("host", "trixie", "sid"),
                         [](const auto& instance) { return instance.param; });

TEST_P(RealDaemon, SpeaksASupportedProtocolVersion) {
    Daemon daemon = open();
    std::cout << fmt::format("{}: Nix {}, protocol 1.{} of {}", GetParam(), daemon.nix_version(),
                             daemon.protocol_minor(), nix->run({"nix-daemon", "--version"}));
    EXPECT_GE(daemon.protocol_minor(), 32u);
    EXPECT_LE(daemon.protocol_minor(), 35u);
    EXPECT_FALSE(daemon.nix_version().empty());
}

TEST_P(RealDaemon, StoresAndReturnsPathsWithReferences) {
    Object leaf = object("leaf"), middle = object("middle", {leaf.info.path}, 300'000);
    Object top = object("top", {leaf.info.path, middle.info.path, path_named("top")}); // refers to itself
    Daemon daemon = open();
    for (const Object* each : {&leaf, &middle, &top})
        add(daemon, *each);

    auto infos = daemon.query_path_infos(std::array{top.info.path, path_named("absent"), leaf.info.path});
    ASSERT_TRUE(infos[0] && !infos[1] && infos[2]);
    EXPECT_EQ(infos[0]->nar_hash, top.info.nar_hash);
    EXPECT_EQ(infos[0]->nar_size, top.info.nar_size);
    EXPECT_EQ(infos[0]->references, top.info.references);
    EXPECT_EQ(infos[0]->deriver, top.info.deriver);
    EXPECT_TRUE(infos[2]->references.empty());

    for (const Object* each : {&leaf, &middle, &top}) {
        std::string got;
        daemon.nar_from_path(each->info.path, each->info.nar_size,
                             [&](std::span<const std::byte> bytes) { got += as_text(bytes); });
        EXPECT_TRUE(got == each->nar);
        EXPECT_TRUE(got == nix->run({"nix-store", "--dump", each->info.path.absolute()}));
    }
    nix->run({"nix-store", "--verify", "--check-contents"});
    EXPECT_EQ(nix->run({"nix-store", "--query", "--size", top.info.path.absolute()}),
              fmt::format("{}\n", top.info.nar_size));
}

TEST_P(RealDaemon, ReplacesAPathThatLostItsContent) {
    const Object object = nix::object("emptied", {}, 100'000);
    const auto files = nix->outside(object.info.path.absolute());
    Daemon daemon = open();
    add(daemon, object);
    EXPECT_EQ(nar_sum(files).hash, object.info.nar_hash);
    EXPECT_EQ(nar_sum(files).size, object.info.nar_size);

    std::filesystem::resize_file(files / "text", 0); // as a power cut may
    EXPECT_NE(nar_sum(files).hash, object.info.nar_hash);
    add(daemon, object);
    EXPECT_NE(nar_sum(files).hash, object.info.nar_hash) << "what is valid stays";
    daemon.add_to_store_nar(object.info, source_of(object.nar), true);
    EXPECT_EQ(nar_sum(files).hash, object.info.nar_hash);
    nix->run({"nix-store", "--verify", "--check-contents"});
}

TEST_P(RealDaemon, AnswersForManyPathsAtOnce) {
    constexpr size_t count = 600;
    Daemon daemon = open();
    std::vector<StorePath> paths;
    std::set<StorePath> added;
    for (size_t i = 0; i < count; ++i) {
        Object each = object(fmt::format("path-{}", i),
                             i > 0 ? std::vector{paths.front(), paths.back()} : std::vector<StorePath>{});
        if (each.info.references.size() == 2 && each.info.references[0] == each.info.references[1])
            each.info.references.pop_back();
        add(daemon, each);
        paths.push_back(each.info.path);
        added.insert(each.info.path);
    }
    std::vector<StorePath> asked = paths;
    for (size_t i = 0; i < count; ++i)
        asked.push_back(path_named(fmt::format("absent-{}", i)));

    EXPECT_EQ(daemon.query_valid_paths(asked), added);
    auto infos = daemon.query_path_infos(asked);
    ASSERT_EQ(infos.size(), 2 * count);
    for (size_t i = 0; i < infos.size(); ++i) {
        ASSERT_EQ(infos[i].has_value(), i < count) << i;
        EXPECT_TRUE(!infos[i] || infos[i]->path == asked[i]);
    }
    EXPECT_NO_THROW(daemon.add_temp_roots(asked));

    std::vector<StorePath> closure;
    for (const PathInfo& info : query_closure(daemon, paths.back()))
        closure.push_back(info.path);
    EXPECT_EQ(closure, paths); // each refers to the one before it
    EXPECT_THROW(query_closure(daemon, path_named("absent-0")), Error);
}

TEST_P(RealDaemon, FindsTheSameClosureAsNix) {
    Object a = object("a"), b = object("b"), c = object("c", {a.info.path}), d = object("d", {b.info.path});
    Object top = object("top", {c.info.path, d.info.path, a.info.path}), other = object("other", {a.info.path});
    Daemon daemon = open();
    for (const Object* each : {&a, &b, &c, &d, &top, &other})
        add(daemon, *each);
    std::set<std::string> ours, theirs;
    for (const PathInfo& info : query_closure(daemon, top.info.path))
        ours.insert(info.path.absolute());
    std::istringstream lines(nix->run({"nix-store", "--query", "--requisites", top.info.path.absolute()}));
    for (std::string line; std::getline(lines, line);)
        theirs.insert(line);
    EXPECT_EQ(ours, theirs);
    EXPECT_EQ(ours.size(), 5u);
}

TEST_P(RealDaemon, RefusesAnotherHash) {
    Object each = object("x", {}, 200'000);
    each.info.nar_hash = sha256("something else");
    Daemon daemon = open();
    try {
        add(daemon, each);
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_THAT(error.what(), HasSubstr("adding " + each.info.path.absolute()));
        EXPECT_THAT(error.what(), HasSubstr("hash mismatch"));
        EXPECT_EQ(std::string_view(error.what()).find('\x1b'), std::string_view::npos);
    }
    EXPECT_FALSE(is_valid(each.info.path));
}

TEST_P(RealDaemon, RefusesAReferenceThatIsNotThere) {
    Object each = object("x", {path_named("absent")});
    Daemon daemon = open();
    EXPECT_THROW(add(daemon, each), DaemonError);
    EXPECT_FALSE(is_valid(each.info.path));
}

TEST_P(RealDaemon, RefusesAnInvalidNar) {
    Object each = object("x");
    each.nar[20] = 'X';
    each.info.nar_hash = sha256(each.nar);
    Daemon daemon = open();
    EXPECT_THROW(add(daemon, each), DaemonError);
    EXPECT_FALSE(is_valid(each.info.path));
}

// Whatever fails on our side, the path is not valid afterwards and can still be added.
TEST_P(RealDaemon, RegistersNothingWhenTheSourceFails) {
    struct Case {
        std::string what;
        std::function<void(Daemon&, const Object&)> attempt;
    };
    const Case cases[] = {
        {"ends early",
         [](Daemon& daemon, const Object& each) {
             std::string cut = each.nar.substr(0, each.nar.size() / 2);
             EXPECT_THROW(daemon.add_to_store_nar(each.info, source_of(cut)), Error);
         }},
        {"is one byte too long",
         [](Daemon& daemon, const Object& each) {
             std::string longer = each.nar + "x";
             EXPECT_THROW(daemon.add_to_store_nar(each.info, source_of(longer)), Error);
         }},
        {"has another size",
         [](Daemon& daemon, const Object& each) {
             PathInfo info = each.info;
             info.nar_size += 8;
             EXPECT_THROW(daemon.add_to_store_nar(info, source_of(each.nar)), Error);
         }},
        {"throws after the last byte",
         [](Daemon& daemon, const Object& each) {
             EXPECT_THROW(daemon.add_to_store_nar(each.info, source_of(each.nar, true)), std::runtime_error);
         }},
    };
    for (const auto& [what, attempt] : cases) {
        for (size_t padding : {size_t{0}, size_t{300'000}}) {
            Object each = object(fmt::format("x{}", padding), {}, padding);
            Daemon daemon = open();
            attempt(daemon, each);
            EXPECT_THROW(daemon.query_valid_paths(std::array{each.info.path}), DaemonError); // the connection is closed
            EXPECT_FALSE(is_valid(each.info.path)) << what << ", " << padding;
            std::optional<Daemon> again(open());
            EXPECT_NO_THROW(add(*again, each)) << what << ", " << padding;
            EXPECT_TRUE(is_valid(each.info.path));
            again.reset();
            nix->run({"nix-store", "--delete", each.info.path.absolute()});
        }
    }
}

TEST_P(RealDaemon, KeepsTemporaryRootsWhileTheConnectionLives) {
    Object dependency = object("dependency"), kept = object("kept", {dependency.info.path}), loose = object("loose");
    Object coming = object("coming", {dependency.info.path});
    std::optional<Daemon> daemon(open());
    daemon->add_temp_roots(
        std::array{dependency.info.path, kept.info.path, coming.info.path}); // none of them valid yet
    add(*daemon, dependency);
    add(*daemon, kept);
    {
        Daemon other = open(); // its own temporary roots end with it
        add(other, loose);
    }
    collect_garbage();
    EXPECT_EQ(daemon->query_valid_paths(std::array{dependency.info.path, kept.info.path, loose.info.path}),
              (std::set{dependency.info.path, kept.info.path}));
    add(*daemon, coming);
    collect_garbage();
    EXPECT_TRUE(is_valid(coming.info.path));
    daemon.reset();
    collect_garbage();
    EXPECT_FALSE(is_valid(kept.info.path));
    EXPECT_FALSE(is_valid(coming.info.path));
}

TEST_P(RealDaemon, KeepsAnIndirectRoot) {
    Object dependency = object("dependency"), kept = object("kept", {dependency.info.path}), loose = object("loose");
    std::filesystem::path link = "/nix/var/waggle-test-root";
    {
        Daemon daemon = open();
        for (const Object* each : {&dependency, &kept, &loose})
            add(daemon, *each);
        std::filesystem::create_symlink(kept.info.path.absolute(), nix->outside(link));
        daemon.add_indirect_root(link);
    }
    collect_garbage();
    EXPECT_TRUE(is_valid(kept.info.path));
    EXPECT_TRUE(is_valid(dependency.info.path));
    EXPECT_FALSE(is_valid(loose.info.path));
    std::filesystem::remove(nix->outside(link));
    collect_garbage();
    EXPECT_FALSE(is_valid(kept.info.path));
}

TEST_P(RealDaemon, FailsToReadTheNarOfAnInvalidPath) {
    Daemon daemon = open();
    auto sink = [](std::span<const std::byte>) { ADD_FAILURE(); };
    try {
        daemon.nar_from_path(path_named("absent"), 1'000'000, sink);
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_THAT(error.what(), HasSubstr("the path is not valid"));
    }
}

TEST_P(RealDaemon, RefusesANarThatIsLargerThanExpected) {
    Object each = object("x", {}, 100'000);
    {
        Daemon daemon = open();
        add(daemon, each);
    }
    for (std::uint64_t size : {each.info.nar_size - 8, each.info.nar_size - 1}) {
        Daemon daemon = open();
        EXPECT_THROW(daemon.nar_from_path(each.info.path, size, [](std::span<const std::byte>) {}), DaemonError);
    }
}

TEST_P(RealDaemon, ListensOnItsSocket) {
    Child server(nix->command({"nix-daemon"}), {.pipe_stdin = false, .pipe_stdout = false, .pipe_stderr = false});
    std::filesystem::path socket = nix->outside("/nix/var/nix/daemon-socket/socket");
    std::optional<Daemon> daemon;
    for (Deadline deadline = deadline_in(stall_timeout); !daemon;) {
        try {
            daemon = Daemon::connect(socket, stall_timeout);
        } catch (const DaemonError&) {
            if (poll_timeout_ms(deadline) == 0)
                throw;
            ::poll(nullptr, 0, 5); // it has not opened its socket yet
        }
    }
    Object each = object("x", {}, 1'000'000);
    EXPECT_THROW(daemon->add_to_store_nar(each.info, source_of(each.nar, true)), std::runtime_error);
    daemon = Daemon::connect(socket, stall_timeout);
    EXPECT_TRUE(daemon->query_valid_paths(std::array{each.info.path}).empty());
    add(*daemon, each);
    EXPECT_EQ(daemon->query_valid_paths(std::array{each.info.path}), std::set{each.info.path});
}

} // namespace
} // namespace waggle::nix
