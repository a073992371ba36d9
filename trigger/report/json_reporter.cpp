#include "trigger/report/json_reporter.hpp"

#include "shared/base/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

namespace waggle::trigger {

using protocol::Json;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto between_transfers = std::chrono::seconds(1); // of one node

Json event(std::string_view type) {
    return {{"type", type}, {"time", to_rfc3339(now())}};
}

Json event_of(const std::string& node, std::string_view type) {
    Json json = event(type);
    json["node"] = node;
    return json;
}

class JsonReporter : public Reporter {
public:
    void step(const std::string& node, Step step) override {
        const std::scoped_lock lock(mutex_);
        if (const auto [found, is_new] = steps_.try_emplace(node, step);
            !is_new && std::exchange(found->second, step) == step)
            return;
        std::string word(to_string(step));
        std::ranges::replace(word, ' ', '-');
        Json json = event_of(node, "step");
        json["step"] = word;
        print_json_line(json);
    }
    void line(const std::string& node, std::string_view text) override {
        const std::scoped_lock lock(mutex_);
        Json json = event_of(node, "line");
        json["text"] = text;
        print_json_line(json);
    }
    void transfer(const std::string& node, std::uint64_t bytes_done, std::uint64_t bytes_total) override {
        const std::scoped_lock lock(mutex_);
        const auto now = Clock::now();
        const auto [last, is_first] = transfers_.try_emplace(node, now);
        if (!is_first && bytes_done != bytes_total && now - last->second < between_transfers)
            return;
        last->second = now;
        Json json = event_of(node, "transfer");
        json["bytesDone"] = bytes_done;
        json["bytesTotal"] = bytes_total;
        print_json_line(json);
    }
    void ended(const std::string& node, protocol::Outcome outcome, std::string_view message) override {
        const std::scoped_lock lock(mutex_);
        Json json = event_of(node, "ended");
        json["outcome"] = protocol::to_string(outcome);
        json["message"] = message;
        print_json_line(json);
    }
    void activity(std::string_view text) override {
        if (!text.empty())
            print_text("activity", text);
    }
    void note(std::string_view text) override { print_text("note", text); }

private:
    void print_text(std::string_view type, std::string_view text) {
        const std::scoped_lock lock(mutex_);
        Json json = event(type);
        json["text"] = text;
        print_json_line(json);
    }

    std::mutex mutex_;
    std::map<std::string, Step> steps_;
    std::map<std::string, Clock::time_point> transfers_;
};

} // namespace

std::unique_ptr<Reporter> make_json_reporter() {
    return std::make_unique<JsonReporter>();
}

void print_json_line(const Json& object) {
    const std::string line = protocol::dump_json(object) + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
}

} // namespace waggle::trigger
