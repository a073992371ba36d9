#pragma once

#include "shared/base/error.hpp"
#include "shared/base/time.hpp"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace waggle::agent {

// systemd's answer to a request that it refuses.
class RefusedBySystemd : public Error {
public:
    // `name` is that of the D-Bus error, such as "org.freedesktop.systemd1.NoSuchUnit".
    RefusedBySystemd(const std::string& name, const std::string& message) : Error(message), name_(name) {}

    bool is_no_such_unit() const { return name_ == "org.freedesktop.systemd1.NoSuchUnit"; }
    bool is_unknown_property() const { return name_ == "org.freedesktop.DBus.Error.UnknownProperty"; }

private:
    std::string name_;
};

struct BusMessageUnref {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using BusMessage = std::unique_ptr<sd_bus_message, BusMessageUnref>;

// A connection to PID 1 through its private socket, which exists even in emergency mode, where D-Bus is down. It speaks
// the interface of org.freedesktop.systemd1(5).
//
// Every function throws RefusedBySystemd, TimedOut at the deadline, and SystemError if the connection is lost.
class SystemdBus {
public:
    explicit SystemdBus(Deadline deadline, const std::filesystem::path& socket = "/run/systemd/private");

    // Calls a method of the manager. `types` is a D-Bus signature; the arguments are those of sd_bus_message_append(3).
    template <class... Arguments>
    BusMessage call(const char* method, const char* types, Arguments... arguments) {
        auto request = new_request(manager_path, manager_interface, method);
        if constexpr (sizeof...(arguments) > 0)
            check(sd_bus_message_append(request.get(), types, arguments...), method);
        return send(std::move(request), method);
    }

    // Calls a method of the manager that queues a job, waits for the job's end and returns its result: "done",
    // "skipped", "failed", "canceled", "timeout", "dependency", … `mode` is as in systemctl's --job-mode.
    std::string run_job(const char* method, const std::string& unit, const char* mode);

    // Loads the unit if necessary, and returns its object path. A name without a unit file has an object, too.
    std::string unit_path(const std::string& unit);

    // Properties of an object. Lists are empty if this version of systemd does not know the property.
    std::string string_property(const std::string& path, const char* interface, const char* name);
    std::uint64_t number_property(const std::string& path, const char* interface, const char* name);
    std::vector<std::string> list_property(const std::string& path, const char* interface, const char* name);
    std::string hex_property(const std::string& path, const char* interface, const char* name); // of bytes

    // Throws SystemError if an sd-bus function has returned an error. `attempt` describes it.
    static void check(int result, const char* attempt);

private:
    static constexpr const char* manager_path = "/org/freedesktop/systemd1";
    static constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";

    BusMessage new_request(const char* path, const char* interface, const char* method);
    BusMessage send(BusMessage request, const char* attempt);
    BusMessage get_property(const std::string& path, const char* interface, const char* name, const char* type);
    // The next message from systemd: an answer or a signal. It sends its signals to every private connection.
    BusMessage receive(const char* attempt);
    void remember_ended_job(sd_bus_message* signal);

    struct Close {
        void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
    };
    std::unique_ptr<sd_bus, Close> bus_;
    Deadline deadline_;
    std::map<std::string, std::string> ended_jobs_; // results by the job's path
};

} // namespace waggle::agent
