// How long a search has worked: by the clock on the wall, or by the CPU time of the thread that asks.
#pragma once

#include <chrono>
#include <ctime>
#include <stdexcept>

namespace darp {

enum class Clock { wall, cpu };

// A time limit of one thread. A reading of the CPU clock is a system call, so one is only made when the wall, which
// runs at least as quickly, has moved by `step` since the last one: that is how late the end of the limit may be seen.
class Stopwatch {
public:
    Stopwatch(double seconds, Clock clock) : limit_(seconds), clock_(clock), wall_begun_(Wall::now()), read_at_(0.0) {
        if (clock_ == Clock::cpu) cpu_begun_ = cpu_now();
    }

    bool over() { return elapsed() >= limit_; }
    double limit() const { return limit_; }

    double elapsed() {
        const double wall = std::chrono::duration<double>(Wall::now() - wall_begun_).count();
        if (clock_ == Clock::wall) return wall;
        if (wall - read_at_ >= step) {
            read_at_ = wall;
            cpu_ = cpu_now() - cpu_begun_;
        }
        return cpu_;
    }

private:
    using Wall = std::chrono::steady_clock;
    static constexpr double step = 1e-4;

    static double cpu_now() {
#ifdef CLOCK_THREAD_CPUTIME_ID
        std::timespec now{};
        if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0)
            return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#endif
        throw std::runtime_error("there is no clock of a thread's CPU time here");
    }

    double limit_;
    Clock clock_;
    Wall::time_point wall_begun_;
    double read_at_;
    double cpu_begun_ = 0.0, cpu_ = 0.0;
};

}  // namespace darp
