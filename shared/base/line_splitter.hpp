#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace waggle {

// Splits a stream that arrives in pieces into lines. Passes on a line over the cap in parts.
class LineSplitter {
public:
    static constexpr size_t max_line_bytes = 64 << 10;

    explicit LineSplitter(std::function<void(std::string_view)> on_line) : on_line_(std::move(on_line)) {}

    void feed(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto end = bytes.find('\n');
            rest_ += bytes.substr(0, end);
            if (end == std::string_view::npos && rest_.size() < max_line_bytes)
                return;
            on_line_(rest_);
            rest_.clear();
            if (end == std::string_view::npos)
                return;
            bytes.remove_prefix(end + 1);
        }
    }

private:
    std::function<void(std::string_view)> on_line_;
    std::string rest_;
};

} // namespace waggle
