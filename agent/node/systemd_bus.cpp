#include "agent/node/systemd_bus.hpp"

#include "shared/base/bytes.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace waggle::agent {

SystemdBus::SystemdBus(Deadline deadline, const std::filesystem::path& socket) : deadline_(deadline) {
    constexpr auto attempt = "connecting";
    sd_bus* bus = nullptr;
    check(sd_bus_new(&bus), attempt);
    bus_.reset(bus);
    check(sd_bus_set_address(bus, fmt::format("unix:path={}", socket.string()).c_str()), attempt);
    check(sd_bus_start(bus), attempt);
}

std::string SystemdBus::run_job(const char* method, const std::string& unit, const char* mode) {
    const auto answer = call(method, "ss", unit.c_str(), mode);
    const char* job = nullptr;
    check(sd_bus_message_read(answer.get(), "o", &job), method);
    for (;;) {
        if (const auto ended = ended_jobs_.find(job); ended != ended_jobs_.end())
            return ended->second;
        receive(method);
    }
}

std::string SystemdBus::unit_path(const std::string& unit) {
    const auto answer = call("LoadUnit", "s", unit.c_str());
    const char* path = nullptr;
    check(sd_bus_message_read(answer.get(), "o", &path), "LoadUnit");
    return path;
}

std::string SystemdBus::string_property(const std::string& path, const char* interface, const char* name) {
    const auto answer = get_property(path, interface, name, "s");
    const char* value = nullptr;
    check(sd_bus_message_read(answer.get(), "s", &value), name);
    return value;
}

std::uint64_t SystemdBus::number_property(const std::string& path, const char* interface, const char* name) {
    const auto answer = get_property(path, interface, name, "t");
    std::uint64_t value = 0;
    check(sd_bus_message_read(answer.get(), "t", &value), name);
    return value;
}

std::vector<std::string> SystemdBus::list_property(const std::string& path, const char* interface, const char* name) {
    std::vector<std::string> values;
    try {
        const auto answer = get_property(path, interface, name, "as");
        check(sd_bus_message_enter_container(answer.get(), 'a', "s"), name);
        const char* value = nullptr;
        int found = 0;
        while ((found = sd_bus_message_read(answer.get(), "s", &value)) > 0)
            values.emplace_back(value);
        check(found, name);
    } catch (const RefusedBySystemd& refused) {
        if (!refused.is_unknown_property())
            throw;
    }
    return values;
}

std::string SystemdBus::hex_property(const std::string& path, const char* interface, const char* name) {
    const auto answer = get_property(path, interface, name, "ay");
    const void* bytes = nullptr;
    size_t size = 0;
    check(sd_bus_message_read_array(answer.get(), 'y', &bytes, &size), name);
    return to_hex({static_cast<const std::uint8_t*>(bytes), size});
}

void SystemdBus::check(int result, const char* attempt) {
    if (result < 0)
        throw SystemError(fmt::format("systemd, {}", attempt), -result);
}

BusMessage SystemdBus::new_request(const char* path, const char* interface, const char* method) {
    sd_bus_message* request = nullptr;
    check(sd_bus_message_new_method_call(bus_.get(), &request, nullptr, path, interface, method), method);
    return BusMessage(request);
}

BusMessage SystemdBus::send(BusMessage request, const char* attempt) {
    std::uint64_t sent = 0;
    check(sd_bus_send(bus_.get(), request.get(), &sent), attempt);
    for (;;) {
        auto message = receive(attempt);
        std::uint64_t answered = 0;
        if (sd_bus_message_get_reply_cookie(message.get(), &answered) < 0 || answered != sent)
            continue;
        if (const auto* error = sd_bus_message_get_error(message.get()))
            throw RefusedBySystemd(error->name, error->message == nullptr ? error->name : error->message);
        return message;
    }
}

BusMessage SystemdBus::get_property(const std::string& path, const char* interface, const char* name,
                                    const char* type) {
    auto request = new_request(path.c_str(), "org.freedesktop.DBus.Properties", "Get");
    check(sd_bus_message_append(request.get(), "ss", interface, name), name);
    auto answer = send(std::move(request), name);
    check(sd_bus_message_enter_container(answer.get(), 'v', type), name);
    return answer;
}

// sd_bus_call(3) would give up if a signal arrives, and would have its own time limit while it connects.
BusMessage SystemdBus::receive(const char* attempt) {
    for (;;) {
        sd_bus_message* received = nullptr;
        const int result = sd_bus_process(bus_.get(), &received);
        BusMessage message(received);
        check(result, attempt);
        if (message) {
            if (sd_bus_message_is_signal(message.get(), manager_interface, "JobRemoved") > 0)
                remember_ended_job(message.get());
            return message;
        }
        if (result > 0)
            continue;
        const auto now = std::chrono::steady_clock::now();
        if (now >= deadline_)
            throw TimedOut(fmt::format("systemd, {}: no answer in time", attempt));
        const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline_ - now);
        if (const int waited = sd_bus_wait(bus_.get(), static_cast<std::uint64_t>(left.count())); waited != -EINTR)
            check(waited, attempt);
    }
}

void SystemdBus::remember_ended_job(sd_bus_message* signal) {
    std::uint32_t number = 0;
    const char* job = nullptr;
    const char* unit = nullptr;
    const char* result = nullptr;
    check(sd_bus_message_read(signal, "uoss", &number, &job, &unit, &result), "JobRemoved");
    ended_jobs_.insert_or_assign(job, result);
}

} // namespace waggle::agent
