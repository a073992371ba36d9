#include "trigger/report/terminal.hpp"

#include "trigger/report/board.hpp"
#include "trigger/report/escape.hpp"
#include "trigger/report/style.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

using Clock = std::chrono::steady_clock;

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

// Prints one line per event, with the node's name before it.
class PlainReporter : public Reporter {
public:
    explicit PlainReporter(bool color) : color_(color) {}

    void step(const std::string& node, Step step) override {
        const std::scoped_lock lock(mutex_);
        if (const auto [found, is_new] = steps_.try_emplace(node, step);
            !is_new && std::exchange(found->second, step) == step)
            return;
        if (step == Step::waiting) // not an event
            return;
        say(node, styled(to_string(step), Style::strong, color_));
    }
    void line(const std::string& node, std::string_view text) override {
        const std::scoped_lock lock(mutex_);
        say(node, printable(text));
    }
    void transfer(const std::string& node, std::uint64_t bytes_done, std::uint64_t bytes_total) override {
        constexpr auto pause = std::chrono::seconds(5); // a log needs no more of them
        const std::scoped_lock lock(mutex_);
        const auto now = Clock::now();
        const auto [found, is_new] = transfers_.try_emplace(node, now);
        if (bytes_total == 0 || (is_new && bytes_done != bytes_total) || (!is_new && now - found->second < pause))
            return;
        found->second = now;
        say(node, fmt::format("{} of {} fetched", format_bytes(bytes_done), format_bytes(bytes_total)));
    }
    void ended(const std::string& node, Outcome outcome, std::string_view message) override {
        const std::scoped_lock lock(mutex_);
        const std::string word = styled(protocol::to_string(outcome), style_of(outcome), color_);
        say(node, message.empty() ? word : fmt::format("{}: {}", word, printable(message)));
    }
    void activity(std::string_view text) override {
        if (!text.empty())
            note(text);
    }
    void note(std::string_view text) override {
        const std::scoped_lock lock(mutex_);
        print(printable(text) + "\n");
    }

private:
    void say(const std::string& node, std::string_view text) {
        width_ = std::max(width_, columns(node));
        print(fmt::format("{} | {}\n", padded(node, width_), text));
    }

    std::mutex mutex_;
    const bool color_;
    size_t width_ = 0;
    std::map<std::string, Step> steps_;
    std::map<std::string, Clock::time_point> transfers_;
};

// Shows the board, which a thread of its own redraws in place.
class TerminalReporter : public Reporter {
public:
    explicit TerminalReporter(bool color) : color_(color), board_(Clock::now()), thread_([this] { redraw(); }) {}

    ~TerminalReporter() override {
        {
            const std::scoped_lock lock(mutex_);
            stop_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    void step(const std::string& node, Step step) override {
        change([&] { board_.step(node, step, Clock::now()); });
    }
    void line(const std::string& node, std::string_view text) override {
        change([&] { board_.line(node, printable(text)); });
    }
    void transfer(const std::string& node, std::uint64_t bytes_done, std::uint64_t bytes_total) override {
        change([&] { board_.transfer(node, bytes_done, bytes_total); });
    }
    void ended(const std::string& node, Outcome outcome, std::string_view message) override {
        change([&] { board_.ended(node, outcome, printable(message), Clock::now()); });
    }
    void activity(std::string_view text) override {
        change([&] { board_.activity(printable(text)); });
    }
    bool prints_lines() const override { return false; }
    void note(std::string_view text) override {
        change([&] { notes_ += printable(text) + "\n"; });
    }

private:
    template <class Change>
    void change(Change change) {
        const std::scoped_lock lock(mutex_);
        change();
    }

    void redraw() {
        constexpr auto pause = std::chrono::milliseconds(100); // ten times a second is all that an eye can follow
        std::unique_lock lock(mutex_);
        while (!stop_) {
            wake_.wait_for(lock, pause, [this] { return stop_; });
            draw();
        }
    }

    // Moves the cursor up to the first of the lines drawn last, replaces them, and erases what is below.
    void draw() {
        winsize size{};
        if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
            size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
        // One column and one row stay free, because a full line or screen would make the terminal scroll.
        const std::vector<std::string> lines = board_.render(
            std::max<size_t>(2, size.ws_row) - 1, std::max<size_t>(2, size.ws_col) - 1, color_, Clock::now());
        std::string frame;
        if (lines_drawn_ > 0)
            frame = fmt::format("\x1b[{}A", lines_drawn_);
        frame += '\r';
        if (!notes_.empty())
            frame += "\x1b[J" + std::exchange(notes_, {});
        for (const std::string& line : lines)
            frame += line + "\x1b[K\n";
        frame += "\x1b[J";
        lines_drawn_ = lines.size();
        print(frame);
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_ = false;
    const bool color_;
    Board board_;
    std::string notes_;
    size_t lines_drawn_ = 0;
    std::thread thread_; // last, because it uses the members above
};

} // namespace

bool stderr_is_terminal() {
    return ::isatty(STDERR_FILENO) == 1;
}

std::unique_ptr<Reporter> make_reporter(bool verbose, bool color) {
    if (stderr_is_terminal() && !verbose)
        return std::make_unique<TerminalReporter>(color);
    return std::make_unique<PlainReporter>(color);
}

} // namespace waggle::trigger
