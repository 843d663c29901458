// Large neighbourhood search with annealing: take a few requests out, put them back, keep what is better, or now and
// then worse.
#pragma once

#include "removal.hpp"
#include "repair.hpp"
#include "stopwatch.hpp"

namespace darp {

struct Found {
    std::vector<Nodes> routes;
    std::vector<int> unserved;
    double cost = 0.0;   // without penalties
    double value = 0.0;  // with them
    std::int64_t iterations = 0;
};

// The best of independent searches, one for each thread, each with its own clock. iterations: 0 is no limit.
Found search(const Model& model, double seconds, Clock clock, std::int64_t iterations, std::uint64_t seed, int threads,
             const std::vector<Nodes>& start);

}  // namespace darp
