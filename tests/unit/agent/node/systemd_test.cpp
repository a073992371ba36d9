#include "agent/node/systemd.hpp"
#include "agent/node/systemd_bus.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Property;
using testing::ThrowsMessage;

constexpr auto unit_interface = "org.freedesktop.systemd1.Unit";
constexpr auto manager_interface = "org.freedesktop.systemd1.Manager";
constexpr auto manager_path = "/org/freedesktop/systemd1";
constexpr auto job_path = "/org/freedesktop/systemd1/job/7";

// Answers one connection as PID 1 would, in a thread: `answer` is called for each request, and may do nothing.
class FakeSystemd {
public:
    using Answer = std::function<void(sd_bus* bus, sd_bus_message* request)>;

    explicit FakeSystemd(Answer answer) : answer_(std::move(answer)), listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
        if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_.get(), 1) != 0)
            throw SystemError("listening");
        thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    }

    std::filesystem::path socket() const { return folder_.path() / "private"; }

private:
    static constexpr auto pause = 10ms;

    void serve(const std::stop_token& stop) {
        pollfd arrival{.fd = listener_.get(), .events = POLLIN, .revents = 0};
        while (::poll(&arrival, 1, pause.count()) == 0)
            if (stop.stop_requested())
                return;
        Fd connection(::accept(listener_.get(), nullptr, nullptr));
        sd_bus* bus = nullptr;
        sd_bus_new(&bus);
        sd_bus_set_fd(bus, connection.get(), connection.get());
        connection.release(); // the bus closes it
        sd_bus_set_server(bus, 1, {});
        sd_bus_start(bus);
        while (!stop.stop_requested()) {
            sd_bus_message* message = nullptr;
            const int result = sd_bus_process(bus, &message);
            if (message != nullptr && sd_bus_message_is_method_call(message, nullptr, nullptr) > 0)
                answer_(bus, message);
            sd_bus_message_unref(message);
            if (result < 0)
                break;
            if (result == 0)
                sd_bus_wait(bus, std::chrono::microseconds(pause).count());
        }
        sd_bus_flush_close_unref(bus);
    }

    TemporaryFolder folder_;
    Answer answer_;
    Fd listener_;
    std::jthread thread_;
};

SystemdBus connect_to(const FakeSystemd& systemd, std::chrono::milliseconds patience = 20s) {
    return SystemdBus(deadline_in(patience), systemd.socket());
}

void end_job(sd_bus* bus, const char* path, const char* result) {
    sd_bus_emit_signal(bus, manager_path, manager_interface, "JobRemoved", "uoss", 7, path, "a.service", result);
}

TEST(SystemdBus, CallsAMethodOfTheManager) {
    const FakeSystemd systemd([](sd_bus*, sd_bus_message* request) {
        const char* unit = nullptr;
        sd_bus_message_read(request, "s", &unit);
        const bool asked = sd_bus_message_is_method_call(request, manager_interface, "LoadUnit") > 0 &&
                           std::string_view(sd_bus_message_get_path(request)) == manager_path;
        sd_bus_reply_method_return(request, "o", asked && std::string_view(unit) == "a.service" ? "/good" : "/bad");
    });
    EXPECT_EQ(connect_to(systemd).unit_path("a.service"), "/good");
}

TEST(SystemdBus, ReadsProperties) {
    const FakeSystemd systemd([](sd_bus*, sd_bus_message* request) {
        const char* interface = nullptr;
        const char* name = nullptr;
        sd_bus_message_read(request, "ss", &interface, &name);
        const std::string_view asked = name;
        if (asked == "Id")
            sd_bus_reply_method_return(request, "v", "s", "a.service");
        else if (asked == "InactiveExitTimestampMonotonic")
            sd_bus_reply_method_return(request, "v", "t", std::uint64_t{1} << 40);
        else if (asked == "WantedBy")
            sd_bus_reply_method_return(request, "v", "as", 2, "b.target", "c.target");
        else if (asked == "InvocationID")
            sd_bus_reply_method_return(request, "v", "ay", 2, 0x0f, 0xa0);
        else
            sd_bus_reply_method_errorf(request, "org.freedesktop.DBus.Error.UnknownProperty", "no %s", name);
    });
    auto bus = connect_to(systemd);
    EXPECT_EQ(bus.string_property("/a", unit_interface, "Id"), "a.service");
    EXPECT_EQ(bus.number_property("/a", unit_interface, "InactiveExitTimestampMonotonic"), std::uint64_t{1} << 40);
    EXPECT_THAT(bus.list_property("/a", unit_interface, "WantedBy"), ElementsAre("b.target", "c.target"));
    EXPECT_EQ(bus.hex_property("/a", unit_interface, "InvocationID"), "0fa0");
    EXPECT_TRUE(bus.list_property("/a", unit_interface, "UpheldBy").empty());
    EXPECT_THROW(bus.string_property("/a", unit_interface, "Result"), RefusedBySystemd);
    EXPECT_THROW(bus.number_property("/a", unit_interface, "Id"), SystemError) << "another type";
}

TEST(SystemdBus, ReportsARefusalInItsWords) {
    const FakeSystemd systemd([](sd_bus*, sd_bus_message* request) {
        sd_bus_reply_method_errorf(request, "org.freedesktop.systemd1.NoSuchUnit", "Unit a.timer not loaded.");
    });
    auto bus = connect_to(systemd);
    EXPECT_THAT([&] { bus.call("ResetFailedUnit", "s", "a.timer"); },
                ThrowsMessage<RefusedBySystemd>("Unit a.timer not loaded."));
    EXPECT_THAT([&] { bus.run_job("StopUnit", "a.timer", "replace"); },
                testing::Throws<RefusedBySystemd>(Property(&RefusedBySystemd::is_no_such_unit, true)));
}

TEST(SystemdBus, WaitsForTheJobThatItHasQueued) {
    const FakeSystemd systemd([](sd_bus* bus, sd_bus_message* request) {
        end_job(bus, "/org/freedesktop/systemd1/job/6", "done");
        sd_bus_reply_method_return(request, "o", job_path);
        end_job(bus, "/org/freedesktop/systemd1/job/8", "done");
        end_job(bus, job_path, "timeout");
    });
    EXPECT_EQ(connect_to(systemd).run_job("StopUnit", "a.service", "replace"), "timeout");
}

TEST(SystemdBus, KnowsAJobThatEndsBeforeTheAnswer) {
    const FakeSystemd systemd([](sd_bus* bus, sd_bus_message* request) {
        end_job(bus, job_path, "done");
        sd_bus_reply_method_return(request, "o", job_path);
    });
    EXPECT_EQ(connect_to(systemd).run_job("StopUnit", "a.service", "replace"), "done");
}

TEST(SystemdBus, GivesUpAtTheDeadline) {
    const FakeSystemd silent([](sd_bus*, sd_bus_message*) {});
    EXPECT_THROW(connect_to(silent, 100ms).call("Reload", ""), TimedOut);
    const FakeSystemd busy(
        [](sd_bus*, sd_bus_message* request) { sd_bus_reply_method_return(request, "o", job_path); });
    EXPECT_THROW(connect_to(busy, 100ms).run_job("StopUnit", "a.service", "replace"), TimedOut);
}

TEST(SystemdBus, ReportsALostConnection) {
    const FakeSystemd systemd([](sd_bus* bus, sd_bus_message*) { sd_bus_close(bus); });
    EXPECT_THROW(connect_to(systemd).call("Reload", ""), SystemError);
    const TemporaryFolder folder;
    EXPECT_THAT([&] { SystemdBus(deadline_in(20s), folder.path() / "private"); },
                ThrowsMessage<SystemError>(testing::HasSubstr("No such file")));
}

struct FakeUnit {
    const char* active = "failed";
    const char* sub = "failed";
    const char* result = "exit-code";
    const char* load = "loaded";
    std::map<std::string, const char*> strings = {};
    std::map<std::string, std::pair<const char*, const char*>> lists = {};
};

// Has these units, all of which match the filter of a request.
FakeSystemd::Answer with_units(const std::map<std::string, FakeUnit>& units) {
    return [units](sd_bus*, sd_bus_message* request) {
        sd_bus_message* raw = nullptr;
        sd_bus_message_new_method_return(request, &raw);
        const BusMessage answer(raw);
        if (sd_bus_message_is_method_call(request, nullptr, "Get") <= 0) {
            sd_bus_message_open_container(raw, 'a', "(ssssssouso)");
            for (const auto& [name, unit] : units)
                sd_bus_message_append(raw, "(ssssssouso)", name.c_str(), "", unit.load, unit.active, unit.sub, "",
                                      ("/" + name.substr(0, name.find('.'))).c_str(), 0, "", "/");
            sd_bus_message_close_container(raw);
        } else {
            const char* interface = nullptr;
            const char* name = nullptr;
            sd_bus_message_read(request, "ss", &interface, &name);
            const std::string path = sd_bus_message_get_path(request);
            const auto& unit = std::ranges::find_if(units, [&](const auto& item) {
                                   return ("/" + item.first).starts_with(path + ".");
                               })->second;
            const std::string_view asked = name;
            if (asked == "InvocationID")
                sd_bus_message_append(raw, "v", "ay", 1, 0x12);
            else if (asked == "Result")
                sd_bus_message_append(raw, "v", "s", unit.result);
            else if (const auto text = unit.strings.find(name); text != unit.strings.end() || asked == "FragmentPath")
                sd_bus_message_append(raw, "v", "s", text != unit.strings.end() ? text->second : "");
            else if (const auto list = unit.lists.find(name); list != unit.lists.end())
                sd_bus_message_append(raw, "v", "as", 2, list->second.first, list->second.second);
            else
                sd_bus_message_append(raw, "v", "as", 0);
        }
        sd_bus_send(nullptr, raw, nullptr);
    };
}

TEST(FailedUnits, AreFailedOrRestartAfterAFailure) {
    const FakeSystemd systemd(with_units({
        {"b.service",
         {.strings = {{"FragmentPath", "/etc/systemd/system/b.service"}},
          .lists = {{"WantedBy", {"m.target", "n.target"}}, {"RequiredBy", {"a.service", "c.service"}}}}},
        {"again.service", {.active = "activating", .sub = "auto-restart", .result = "success"}},
        {"a.service", {.active = "activating", .sub = "auto-restart", .result = "signal"}},
        {"gone.service", {.load = "not-found"}},
        {"data.mount", {.strings = {{"FragmentPath", "/run/systemd/generator/data.mount"}}}},
    }));
    auto bus = connect_to(systemd);
    const auto units = failed_units(bus);
    ASSERT_EQ(units.size(), 3U);
    EXPECT_EQ(units[0].name, "a.service");
    EXPECT_EQ(units[1].name, "b.service");
    EXPECT_EQ(units[1].invocation, "12");
    EXPECT_FALSE(units[1].generated);
    EXPECT_THAT(units[1].wanted_by, testing::UnorderedElementsAre("m.target", "n.target", "a.service", "c.service"));
    EXPECT_TRUE(units[2].generated);
}

} // namespace
} // namespace waggle::agent
