// A small random generator (xorshift64), so that a plan depends on the seed and not on the standard library.
#pragma once

#include <cstdint>

namespace darp {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL) {
        if (state_ == 0) state_ = 1;
        for (int warm_up = 0; warm_up < 16; ++warm_up) next();
    }

    // Evenly in [0, 1).
    double real() { return static_cast<double>(next() >> 11) * (1.0 / 9007199254740992.0); }
    // Evenly in [0, below).
    int below(int bound) { return static_cast<int>(real() * bound); }
    bool chance(double probability) { return real() < probability; }
    // An index, as often as its weight says.
    template <std::size_t size>
    int weighted(const double (&weights)[size]) {
        double total = 0.0;
        for (double weight : weights) total += weight;
        double draw = real() * total;
        int index = 0;
        while (index + 1 < static_cast<int>(size) && draw >= weights[index]) draw -= weights[index++];
        return index;
    }

private:
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t state_;
};

}  // namespace darp
