#include "trigger/eval/workers.hpp"

#include "shared/base/bytes.hpp"
#include "trigger/eval/memory.hpp"
#include "trigger/hive/nix_error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <set>

namespace waggle::trigger {

using protocol::Json;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto process_time =
    std::chrono::minutes(60); // real NixOS takes seconds per node; import from derivation builds
constexpr auto poll_interval =
    std::chrono::milliseconds(20);                  // of the workers' memory; each grows by some MiB in that time
constexpr auto end_time = std::chrono::seconds(10); // from the end of its output to its exit
constexpr auto stop_time = std::chrono::seconds(2); // after SIGTERM
constexpr size_t max_answer_line_bytes = 256 << 20;
constexpr size_t tail_bytes = 64 << 10;
constexpr size_t marker_within = 32; // characters from the start of the line; Nix writes "trace: " before it

// The marker is random, so that no line of the hive's own can be mistaken for an answer.
std::string random_marker() {
    return "waggle-" + to_hex(random_bytes<8>()) + ":";
}

// One evaluator process.
class Worker {
public:
    Worker(Chunk work, const WorkersOptions& options)
        : chunk(std::move(work)), marker_(random_marker()),
          child(options.command(chunk.names, marker_),
                {.pipe_stdin = false, .pipe_stdout = true, .pipe_stderr = true}) {}

    // Reads the available output. `on_line` gets each whole line of standard error that is not an answer; `on_answer`
    // gets the answers.
    template <class OnLine, class OnAnswer>
    void read(Fd& pipe, OnLine on_line, OnAnswer on_answer) {
        std::array<char, 65536> buffer;
        const ssize_t count = ::read(pipe.get(), buffer.data(), buffer.size());
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (count <= 0) {
            const bool is_stderr = &pipe == &child.stderr_pipe();
            pipe.close();
            if (is_stderr && !line_.empty())
                take(std::exchange(line_, {}), on_line, on_answer);
            return;
        }
        if (&pipe != &child.stderr_pipe())
            return; // standard output has nothing that was not reported before
        line_.append(buffer.data(), static_cast<size_t>(count));
        if (line_.size() > max_answer_line_bytes)
            throw Error("an evaluator printed an endless line");
        size_t begin = 0;
        // A long answer arrives in many pieces. The part that was searched before has no line end.
        for (size_t end = 0; (end = line_.find('\n', std::max(begin, searched_))) != line_.npos; begin = end + 1) {
            take(line_.substr(begin, end - begin), on_line, on_answer);
            searched_ = 0;
        }
        line_.erase(0, begin);
        searched_ = line_.size();
    }

    bool has_ended() { return !child.stdout_pipe() && !child.stderr_pipe(); }
    double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

    Chunk chunk;
    std::vector<std::string> answered;
    std::set<std::string> common; // nodes that depend on what is being evaluated
    std::string tail;             // of standard error, without answers
    bool over_budget = false;
    const Deadline deadline = deadline_in(process_time);

private:
    template <class OnLine, class OnAnswer>
    void take(std::string line, OnLine on_line, OnAnswer on_answer) {
        if (const size_t found = line.substr(0, marker_within + marker_.size()).find(marker_); found != line.npos) {
            Json answer = protocol::parse_json(line.substr(found + marker_.size()), "the evaluation's answer");
            if (const auto nodes = answer.find("common"); nodes != answer.end())
                common = nodes->get<std::set<std::string>>();
            else
                on_answer(answer.at("name").get<std::string>(), std::move(answer["value"]));
            return;
        }
        tail += line + "\n";
        if (tail.size() > 2 * tail_bytes)
            tail.erase(0, tail.size() - tail_bytes);
        // The lines from the error on belong to the error, which is reported with the node.
        in_error_ = in_error_ || line.find("error:") != line.npos;
        if (!in_error_ && !line.empty())
            on_line(line);
    }

    std::string marker_;

public:
    Child child;

private:
    const Clock::time_point began_ = Clock::now();
    std::string line_;
    size_t searched_ = 0;
    bool in_error_ = false;
};

bool died_of_memory(const Worker& worker) {
    return worker.tail.find("error: out of memory") != worker.tail.npos ||
           worker.tail.find("std::bad_alloc") != worker.tail.npos;
}

class Workers {
public:
    Workers(Schedule& schedule, const WorkersOptions& options, const EvaluationEvents& events,
            const Interrupt& interrupt)
        : schedule_(schedule), options_(options), events_(events), interrupt_(interrupt) {}

    void run() {
        while (!schedule_.done()) {
            while (std::optional<Chunk> chunk = schedule_.next()) {
                events_.begins(chunk->names);
                workers_.push_back(std::make_unique<Worker>(std::move(*chunk), options_));
            }
            wait();
            for (size_t i = 0; i < workers_.size();) {
                if (workers_[i]->has_ended()) {
                    const std::unique_ptr<Worker> worker = std::move(workers_[i]);
                    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(i));
                    end(*worker);
                } else {
                    ++i;
                }
            }
            keep_the_budget();
        }
        std::ranges::sort(failed_together_);
        if (!failed_together_.empty())
            events_.failed_together(failed_together_, error_of_all_);
    }

private:
    void wait() {
        std::vector<pollfd> entries = {{interrupt_.fd(), POLLIN, 0}};
        for (const auto& worker : workers_) {
            entries.push_back({worker->child.stdout_pipe().get(), POLLIN, 0});
            entries.push_back({worker->child.stderr_pipe().get(), POLLIN, 0});
        }
        const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(poll_interval.count()));
        if (ready < 0 && errno != EINTR)
            throw SystemError("poll");
        if (interrupt_.requested()) {
            stop();
            throw Interrupted("interrupted");
        }
        for (size_t i = 0; ready > 0 && i < workers_.size(); ++i) {
            if (entries[1 + 2 * i].revents)
                read(*workers_[i], workers_[i]->child.stdout_pipe());
            if (entries[2 + 2 * i].revents)
                read(*workers_[i], workers_[i]->child.stderr_pipe());
        }
        for (const auto& worker : workers_) {
            if (Clock::now() > worker->deadline)
                throw TimedOut(fmt::format("the evaluation of {} did not end in time", worker->chunk.names.front()));
        }
    }

    void read(Worker& worker, Fd& pipe) {
        worker.read(
            pipe, [&](const std::string& line) { events_.line(line); },
            [&](const std::string& name, Json value) {
                schedule_.answered(worker.chunk.id, name);
                worker.answered.push_back(name);
                events_.answered(name, std::move(value));
            });
    }

    void end(Worker& worker) {
        const ExitStatus status = worker.child.wait(deadline_in(end_time));
        interrupt_.check(); // Ctrl-C reaches the child as well
        const bool killed = status.signal != 0 || (!status.success() && died_of_memory(worker));
        const ChunkEnd how = worker.over_budget ? ChunkEnd::over_budget
                             : killed           ? ChunkEnd::killed
                             : status.success() ? ChunkEnd::complete
                                                : ChunkEnd::failed;
        const std::optional<std::string> broken =
            schedule_.ended(worker.chunk.id, how,
                            {.peak_bytes = static_cast<double>(status.peak_memory_bytes), .seconds = worker.seconds()});
        if (!worker.answered.empty())
            events_.ended(worker.answered);
        if (broken && how == ChunkEnd::failed && !worker.common.empty()) {
            fail_together(*broken, worker);
            return;
        }
        const std::string memory = fmt::format("{} MiB", status.peak_memory_bytes >> 20);
        if (broken && how == ChunkEnd::killed)
            events_.failed(*broken,
                           fmt::format("its evaluation was {} each time, the last time alone and with {}: perhaps "
                                       "memory ran out",
                                       status.to_string(), memory));
        else if (broken && status.success())
            events_.failed(*broken, "its evaluation gave no answer");
        else if (broken)
            events_.failed(*broken, nix_error(worker.tail, options_.show_trace));
        else if (how == ChunkEnd::killed)
            events_.note(fmt::format("an evaluator was {} when it had {}: its remaining nodes are evaluated again, "
                                     "in smaller parts",
                                     status.signal != 0 ? status.to_string() : "out of memory", memory));
        else if (how == ChunkEnd::over_budget)
            events_.note(fmt::format("the evaluators took more memory than --eval-memory allows: one with {} was "
                                     "stopped, and its remaining nodes are evaluated later",
                                     memory));
    }

    // The process ended while it evaluated what its nodes have in common with others. Processes that are already
    // running will end in the same way.
    void fail_together(const std::string& first, const Worker& worker) {
        const std::vector<std::string> left = schedule_.drop(worker.common);
        failed_together_.insert(failed_together_.end(), left.begin(), left.end());
        if (worker.common.contains(first))
            failed_together_.push_back(first);
        else
            schedule_.retry(first);
        error_of_all_ = nix_error(worker.tail, options_.show_trace);
    }

    void keep_the_budget() {
        if (Clock::now() < next_look_)
            return;
        next_look_ = Clock::now() + poll_interval;
        std::map<size_t, double> resident;
        for (const auto& worker : workers_) {
            if (worker->over_budget)
                return; // it is being killed
            resident[worker->chunk.id] = static_cast<double>(resident_bytes(worker->child.pid()).value_or(0));
        }
        const std::optional<size_t> victim = schedule_.one_too_many(resident);
        for (const auto& worker : workers_) {
            if (victim && worker->chunk.id == *victim) {
                worker->over_budget = true;
                worker->child.kill(SIGKILL);
            }
        }
    }

    void stop() {
        for (const auto& worker : workers_)
            worker->child.kill(SIGTERM);
        const Deadline deadline = deadline_in(stop_time);
        for (const auto& worker : workers_) {
            try {
                worker->child.wait(deadline);
            } catch (const TimedOut&) {
                return; // the destructors kill the rest
            }
        }
    }

    Schedule& schedule_;
    const WorkersOptions& options_;
    const EvaluationEvents& events_;
    const Interrupt& interrupt_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::string> failed_together_;
    std::string error_of_all_;
    Clock::time_point next_look_ = Clock::now();
};

} // namespace

void run_workers(Schedule& schedule, const WorkersOptions& options, const EvaluationEvents& events,
                 const Interrupt& interrupt) {
    Workers(schedule, options, events, interrupt).run();
}

} // namespace waggle::trigger
