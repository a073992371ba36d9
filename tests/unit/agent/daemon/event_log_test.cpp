#include "agent/daemon/event_log.hpp"
#include "shared/base/line_splitter.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace waggle::agent {
namespace {

protocol::Event event(std::string text) {
    protocol::Event event;
    event.kind = protocol::Event::Kind::log;
    event.text = std::move(text);
    return event;
}

std::string text_after(const EventLog& log, std::uint64_t after) {
    const auto item = log.next(after, {});
    return std::holds_alternative<protocol::Event>(*item) ? std::get<protocol::Event>(*item).text : "the result";
}

TEST(EventLog, NumbersFromOneAndEndsInTheResult) {
    EventLog log;
    log.add(event("a"));
    log.add(event("b"));
    log.end({});
    log.add(event("too late"));
    EXPECT_EQ(std::get<protocol::Event>(*log.next(0, {})).number, 1);
    EXPECT_EQ(text_after(log, 0), "a");
    EXPECT_EQ(text_after(log, 1), "b");
    EXPECT_EQ(text_after(log, 2), "the result");
}

TEST(EventLog, StartsAgainForAnUnknownNumber) {
    EventLog log;
    log.add(event("a"));
    EXPECT_EQ(text_after(log, 50), "a");
}

TEST(EventLog, DropsTheOldestEventsBeyondItsLimit) {
    EventLog log;
    for (size_t i = 1; i <= EventLog::max_events + 10; ++i)
        log.add(event(std::to_string(i)));
    EXPECT_EQ(text_after(log, 0), "11");
    EXPECT_EQ(text_after(log, 11), "12");
}

TEST(EventLog, IsBoundedInBytesAndCutsLongLines) {
    EventLog log;
    for (int i = 0; i < 1000; ++i)
        log.add(event(std::string(100'000, 'x')));
    const auto first = std::get<protocol::Event>(*log.next(0, {}));
    EXPECT_EQ(first.text.size(), EventLog::max_text_bytes);
    EXPECT_EQ(first.number, 1000 - EventLog::max_bytes / EventLog::max_text_bytes + 1);
}

TEST(EventLog, WakesAReaderThatWaits) {
    EventLog log;
    std::string seen;
    std::jthread reader([&] { seen = text_after(log, 0); });
    log.add(event("now"));
    reader.join();
    EXPECT_EQ(seen, "now");
}

TEST(EventLog, ReleasesAReaderThatIsAskedToStop) {
    EventLog log;
    bool stopped = false;
    std::jthread reader([&](std::stop_token stop) { stopped = !log.next(0, stop).has_value(); });
    reader.request_stop();
    reader.join();
    EXPECT_TRUE(stopped);
}

TEST(LineSplitter, JoinsPiecesIntoLines) {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
    splitter.feed("on");
    splitter.feed("e\n\ntwo\nthr");
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "", "two"}));
    splitter.feed("ee\n");
    EXPECT_EQ(lines.back(), "three");
}

TEST(LineSplitter, PassesOnAnEndlessLineInParts) {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
    for (int i = 0; i < 100; ++i)
        splitter.feed(std::string(1024, 'x'));
    EXPECT_EQ(lines.size(), 1);
}

} // namespace
} // namespace waggle::agent
