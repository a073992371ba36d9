#include "trigger/report/timings.hpp"

#include "shared/base/file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::trigger {

void write_timings(const std::filesystem::path& file, const Timings& timings, std::span<const NodeReport> reports) {
    using Duration = std::chrono::steady_clock::duration;
    const auto seconds = [](Duration duration) { return std::chrono::duration<double>(duration).count(); };
    const auto slowest = [&](Duration NodeReport::* phase) {
        Duration most{};
        for (const NodeReport& report : reports)
            most = std::max(most, report.*phase);
        return seconds(most);
    };
    const nlohmann::ordered_json json = {{"evaluate_s", seconds(timings.evaluate)},
                                         {"build_s", seconds(timings.build)},
                                         {"connect_s", slowest(&NodeReport::connect_time)},
                                         {"fetch_s", slowest(&NodeReport::fetch_time)},
                                         {"activate_s", slowest(&NodeReport::activate_time)}};
    write_file_atomically(file, json.dump() + "\n", 0644);
}

} // namespace waggle::trigger
