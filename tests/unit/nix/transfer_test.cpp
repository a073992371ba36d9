#include "shared/base/bytes.hpp"
#include "tests/unit/nix/fake_daemon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>

namespace waggle::nix {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

const StorePath path = test_path("x");

// Reads from a string in pieces, then ends, or throws.
NarSource source_of(std::string bytes, size_t piece, bool throws_at_end = false) {
    return [bytes = std::move(bytes), piece, throws_at_end, at = size_t{0}](std::span<std::byte> buffer) mutable {
        size_t count = std::min({piece, buffer.size(), bytes.size() - at});
        if (count == 0 && throws_at_end)
            throw std::runtime_error("the laptop is gone");
        std::memcpy(buffer.data(), bytes.data() + at, count);
        at += count;
        return count;
    };
}

std::string test_bytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<char>('a' + i % 23);
    return bytes;
}

PathInfo info_of(const std::string& nar) {
    return {.path = path,
            .nar_hash = sha256(nar),
            .nar_size = nar.size(),
            .references = {test_path("dependency"), path},
            .deriver = test_path("x.drv")};
}

// The frames after the request, which ends in "do not check signatures".
std::string frames_in(const std::string& received) {
    std::string end_of_request = wire("") + wire(0) + wire(1);
    size_t at = received.find(end_of_request);
    return at == std::string::npos ? "" : received.substr(at + end_of_request.size());
}

struct Frames {
    std::string content;
    bool ended = false;
};

Frames parse_frames(std::string_view frames) {
    Frames result;
    while (frames.size() >= 8) {
        std::uint64_t length = 0;
        std::memcpy(&length, frames.data(), 8); // little endian, as the machines the tests run on
        result.ended = length == 0;
        const auto content = frames.substr(8, static_cast<size_t>(length));
        result.content += content;
        frames.remove_prefix(8 + content.size());
    }
    return result;
}

std::string content_of(std::string_view frames) {
    return parse_frames(frames).content;
}

bool has_all_frames(const std::string& received) {
    size_t request_end = received.size() - frames_in(received).size();
    return received.find(wire("") + wire(0) + wire(1)) != std::string::npos &&
           parse_frames(std::string_view(received).substr(request_end)).ended;
}

TEST(AddToStoreNar, SendsTheInfoAndTheNarInFrames) {
    std::string nar = test_bytes(200'000);
    FakeDaemon fake(handshake(35), last(), has_all_frames);
    fake.connect().add_to_store_nar(info_of(nar), source_of(nar, 777));
    const std::string& received = fake.received();
    EXPECT_THAT(received, HasSubstr(wire(39) + wire(path.absolute()) + wire(test_path("x.drv").absolute()) +
                                    wire(to_hex(sha256(nar))) + wire({test_path("dependency"), path}) + wire(0) +
                                    wire(nar.size()) + wire(0) + wire(0) + wire("") + wire(0) + wire(1)));
    EXPECT_EQ(content_of(frames_in(received)), nar);
    EXPECT_THAT(received, EndsWith(wire(0)));
}

TEST(AddToStoreNar, SendsNarsAroundTheFrameSize) {
    for (size_t size : {1u, 65535u, 65536u, 65537u, 131071u, 131072u, 131073u}) {
        std::string nar = test_bytes(size);
        FakeDaemon fake(handshake(35), last(), has_all_frames);
        fake.connect().add_to_store_nar(info_of(nar), source_of(nar, size));
        EXPECT_TRUE(content_of(frames_in(fake.received())) == nar) << size;
    }
}

// On 32-bit boards, size_t is limited to 4 GiB.
constexpr std::uint64_t five_gib = std::uint64_t{5} << 30;
constexpr std::chrono::minutes for_five_gib{5};

TEST(AddToStoreNar, SendsANarOf5GiB) {
    auto info = info_of("large");
    info.nar_size = five_gib;
    std::uint64_t received = 0;
    FakeDaemon fake([&](const Fd& fd) {
        write_all(fd, handshake(35), deadline_in(for_five_gib));
        std::vector<std::byte> buffer(1 << 20);
        std::string tail; // ends in a frame of no bytes
        while (received < five_gib || tail != wire(0)) {
            const size_t count = read_some(fd, buffer, deadline_in(for_five_gib));
            if (count == 0)
                return;
            received += count;
            tail += as_text(std::span<const std::byte>(buffer).first(count).last(std::min<size_t>(count, 8)));
            tail.erase(0, tail.size() - std::min<size_t>(tail.size(), 8));
        }
        write_all(fd, last(), deadline_in(for_five_gib));
    });
    std::uint64_t left = five_gib;
    fake.connect(for_five_gib).add_to_store_nar(info, [&](std::span<std::byte> buffer) {
        const auto count = static_cast<size_t>(std::min<std::uint64_t>(left, buffer.size()));
        std::memset(buffer.data(), 'x', count);
        left -= count;
        return count;
    });
    EXPECT_EQ(left, 0);
    EXPECT_GT(received, five_gib);
}

TEST(NarFromPath, ReadsANarOf5GiB) {
    const std::string end = wire(")");
    FakeDaemon fake([&](const Fd& fd) {
        write_all(fd, handshake(35) + last() + wire(1) + last(), deadline_in(for_five_gib));
        const std::string zeros(1 << 20, '\0');
        for (std::uint64_t left = five_gib - end.size(); left > 0;) {
            const auto piece =
                std::string_view(zeros).substr(0, static_cast<size_t>(std::min<std::uint64_t>(left, zeros.size())));
            write_all(fd, piece, deadline_in(for_five_gib));
            left -= piece.size();
        }
        write_all(fd, end, deadline_in(for_five_gib));
        std::array<std::byte, 4096> buffer;
        while (read_some(fd, buffer, deadline_in(for_five_gib)) > 0) {
        }
    });
    std::uint64_t received = 0;
    fake.connect(for_five_gib).nar_from_path(path, five_gib, [&](std::span<const std::byte> bytes) {
        received += bytes.size();
    });
    EXPECT_EQ(received, five_gib);
}

// A daemon registers a path when it has the whole NAR, so the last bytes are withheld until everything is known to be
// correct. This is tested for all sizes around a frame.
TEST(AddToStoreNar, WithholdsTheLastBytesIfTheSourceFails) {
    for (size_t size : {1u, 65535u, 65536u, 65537u, 131072u, 200'000u}) {
        std::string nar = test_bytes(size);
        {
            FakeDaemon fake(handshake(35), last(), has_all_frames);
            EXPECT_THROW(fake.connect().add_to_store_nar(info_of(nar), source_of(nar, 5000, true)), std::runtime_error);
            EXPECT_LT(content_of(frames_in(fake.received())).size(), size) << "source throws at the end";
        }
        {
            FakeDaemon fake(handshake(35), last(), has_all_frames);
            EXPECT_THROW(fake.connect().add_to_store_nar(info_of(nar), source_of(nar + "x", 5000)), Error);
            EXPECT_LT(content_of(frames_in(fake.received())).size(), size) << "source has one byte more";
        }
        {
            FakeDaemon fake(handshake(35), last(), has_all_frames);
            EXPECT_THROW(fake.connect().add_to_store_nar(info_of(nar), source_of(nar.substr(1), 5000)), Error);
            EXPECT_LT(content_of(frames_in(fake.received())).size(), size - 1 + (size == 1)) << "source ends early";
        }
    }
}

TEST(AddToStoreNar, StopsASourceThatNeverEnds) {
    std::string nar = test_bytes(100'000);
    FakeDaemon fake(handshake(35), last(), has_all_frames);
    auto endless = [](std::span<std::byte> buffer) { return buffer.size(); };
    EXPECT_THROW(fake.connect().add_to_store_nar(info_of(nar), endless), Error);
}

TEST(AddToStoreNar, StopsAtAnErrorWhileItSends) {
    std::string nar = test_bytes(5'000'000);
    std::promise<void> said;
    FakeDaemon fake([&](const Fd& fd) {
        Deadline deadline = deadline_in(std::chrono::seconds(10));
        std::array<std::byte, 10'000> some;
        read_exactly(fd, std::span(some).first(32), deadline);
        write_all(fd, handshake(35), deadline);
        read_exactly(fd, some, deadline);
        write_all(fd, error("No space left on device"), deadline);
        said.set_value();
        while (read_some(fd, some, deadline) > 0) {
        }
    });
    Daemon daemon = fake.connect();
    size_t taken = 0;
    std::future<void> waiting = said.get_future();
    auto counting = [&, source = source_of(nar, 4096)](std::span<std::byte> buffer) mutable {
        size_t count = source(buffer);
        taken += count;
        if (count > 0 && taken > 1'000'000 && waiting.valid())
            waiting.get(); // the error has now arrived, and the rest of the NAR was not sent
        return count;
    };
    try {
        daemon.add_to_store_nar(info_of(nar), counting);
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr(path.absolute()), HasSubstr("No space left on device")));
    }
    EXPECT_LT(taken, 1'500'000u);
}

TEST(AddToStoreNar, ReportsTheErrorOfADaemonThatThenCloses) {
    std::string nar = test_bytes(5'000'000);
    FakeDaemon fake([&](const Fd& fd) {
        Deadline deadline = deadline_in(std::chrono::seconds(10));
        std::array<std::byte, 10'000> some;
        read_exactly(fd, std::span(some).first(32), deadline);
        write_all(fd, handshake(35) + error("out of inodes"), deadline);
    });
    Daemon daemon = fake.connect();
    try {
        daemon.add_to_store_nar(info_of(nar), source_of(nar, 65536));
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_THAT(error.what(), HasSubstr("out of inodes"));
    }
}

TEST(AddToStoreNar, FailsWhenTheDaemonRefusesTheNar) {
    std::string nar = test_bytes(1000);
    FakeDaemon fake(handshake(35), error("hash mismatch importing path"), has_all_frames);
    Daemon daemon = fake.connect();
    EXPECT_THROW(daemon.add_to_store_nar(info_of(nar), source_of(nar, 1000)), DaemonError);
}

const std::string valid = last() + wire(1); // the answer to IsValidPath

// A file's NAR, as Nix writes it.
std::string nar_of_file(std::string_view content) {
    return wire("nix-archive-1") + wire("(") + wire("type") + wire("regular") + wire("contents") + wire(content) +
           wire(")");
}

TEST(NarFromPath, GivesExactlyTheNar) {
    std::string nar = nar_of_file(test_bytes(300'000));
    FakeDaemon fake(handshake(35), valid + last() + nar + last() + wire({path}));
    Daemon daemon = fake.connect();
    std::string got;
    // The next answer is already there. A real daemon would not have sent it, so this is an error.
    EXPECT_THROW(
        daemon.nar_from_path(path, nar.size(), [&](std::span<const std::byte> bytes) { got += as_text(bytes); }),
        DaemonError);
    EXPECT_TRUE(got == nar);

    got.clear();
    FakeDaemon honest(handshake(35), valid + last() + nar);
    honest.connect().nar_from_path(path, nar.size(), [&](std::span<const std::byte> bytes) { got += as_text(bytes); });
    EXPECT_TRUE(got == nar);
}

TEST(NarFromPath, IsRefusedForAPathThatIsNotValid) {
    FakeDaemon fake(handshake(35), last() + wire(0) + last() + wire("nix-archive-1") + error("not valid"));
    Daemon daemon = fake.connect();
    auto sink = [](std::span<const std::byte>) { ADD_FAILURE(); };
    try {
        daemon.nar_from_path(path, 1000, sink);
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_EQ(error.what(), "reading " + path.absolute() + " from the store: the path is not valid");
    }
}

TEST(NarFromPath, RefusesANarThatIsLargerThanExpected) {
    std::string nar = nar_of_file("some content");
    for (size_t size : {nar.size() - 16, nar.size() - 8, size_t{0}}) {
        for (const std::string& said : {nar, nar.substr(0, size)}) { // the rest comes at once, or later
            FakeDaemon fake(handshake(35), valid + last() + said);
            Daemon daemon = fake.connect();
            EXPECT_THROW(daemon.nar_from_path(path, size, [](std::span<const std::byte>) {}), DaemonError) << size;
        }
    }
}

TEST(NarFromPath, NamesThePathWhenTheConnectionEndsEarly) {
    std::string nar = nar_of_file(test_bytes(1000));
    FakeDaemon fake([&](const Fd& fd) {
        std::array<std::byte, 256> request;
        Deadline deadline = deadline_in(std::chrono::seconds(10));
        write_all(fd, handshake(35), deadline);
        read_exactly(fd, std::span(request).first(32 + 2 * (8 + wire(path.absolute()).size())), deadline);
        write_all(fd, valid + last() + nar.substr(0, 500), deadline);
    });
    Daemon daemon = fake.connect();
    try {
        daemon.nar_from_path(path, nar.size(), [](std::span<const std::byte>) {});
        FAIL();
    } catch (const DaemonError& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr(path.absolute()), HasSubstr("closed the connection")));
    }
}

} // namespace
} // namespace waggle::nix
