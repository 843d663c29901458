#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <future>

namespace darp {

namespace {

constexpr double by_strings = 0.8;
constexpr double warm = 0.35, cold = 0.02;
constexpr double better = 1e-9;

class Search {
public:
    Search(const Model& model, Stopwatch stopwatch, std::int64_t iterations, std::uint64_t seed)
        : model_(model),
          stopwatch_(stopwatch),
          iterations_(iterations),
          random_(seed),
          insertions_(model),
          removal_(model, random_),
          repair_(model, random_, insertions_, [this] { return stopwatch_.over(); }) {}

    Found run(const std::vector<Nodes>& start) {
        Solution current = insertions_.started(start), candidate;
        const bool possible = model_.n > 0 && model_.k > 0;
        if (possible && !current.unserved.empty()) repair_.greedy(current);
        Solution best = current;
        double value = worth(current), best_value = value;
        std::int64_t done = 0;
        while (possible && !over(done)) {
            const double temperature = warm * best.served_cost() / model_.n * std::pow(cold, progress(done));
            ++done;
            insertions_.keep(current);
            candidate.follow(current);
            change(candidate);
            const double tried = worth(candidate);
            if (tried >= value - better && !random_.chance(std::exp((value - tried) / temperature))) continue;
            std::swap(current, candidate);
            value = tried;
            if (value < best_value - better) best.follow(current), best_value = value;
        }
        return finished(best, done);
    }

private:
    bool over(std::int64_t done) { return stopwatch_.over() || (iterations_ > 0 && done >= iterations_); }
    double progress(std::int64_t done) {
        return iterations_ > 0 ? static_cast<double>(done) / static_cast<double>(iterations_)
                               : stopwatch_.elapsed() / stopwatch_.limit();
    }

    void change(Solution& solution) {
        if (random_.chance(by_strings)) {
            insertions_.take_out(solution, removal_.strings(solution));
            repair_.greedy(solution);
        } else {
            insertions_.take_out(solution, removal_.classic(solution));
            repair_.regret(solution);
        }
    }

    double worth(const Solution& solution) const {
        double total = solution.served_cost();
        for (int request : solution.unserved) total += model_.penalty[request];
        return total;
    }

    Found finished(const Solution& best, std::int64_t done) const {
        Found found{{}, best.unserved, best.served_cost(), worth(best), done};
        for (const Route& route : best.routes) found.routes.push_back(route.nodes);
        return found;
    }

    const Model& model_;
    Stopwatch stopwatch_;
    std::int64_t iterations_;
    Random random_;
    Insertions insertions_;
    Removal removal_;
    Repair repair_;
};

}  // namespace

Found search(const Model& model, double seconds, Clock clock, std::int64_t iterations, std::uint64_t seed, int threads,
             const std::vector<Nodes>& start) {
    const auto one = [&](int number) {
        return Search(model, Stopwatch(seconds, clock), iterations, seed + 1'000'003ULL * number).run(start);
    };
    std::vector<std::future<Found>> others;
    for (int number = 1; number < threads; ++number) others.push_back(std::async(std::launch::async, one, number));
    Found best = one(0);
    for (std::future<Found>& other : others) {
        Found found = other.get();
        if (found.value < best.value) best = std::move(found);
    }
    return best;
}

}  // namespace darp
