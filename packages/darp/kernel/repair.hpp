// How those without a route get one: greedily in a random kind of order, or by regret.
#pragma once

#include <functional>

#include "random.hpp"
#include "solution.hpp"

namespace darp {

class Repair {
public:
    // over: whether time has run out, when the rest stays unserved.
    Repair(const Model& model, Random& random, Insertions& insertions, std::function<bool()> over)
        : model_(model),
          random_(random),
          insertions_(insertions),
          over_(std::move(over)),
          table_(static_cast<std::size_t>(model.n) * model.k) {}

    // Each request where it is cheapest, now and then not looking at a vehicle.
    void greedy(Solution& solution);
    // Next whoever loses most if the best vehicle is not taken, against the 1, 2, 3 or all cheapest ones.
    void regret(Solution& solution);

private:
    void order(std::vector<int>& requests);
    double key(int request, double draw);
    bool fill_table(const Solution& solution);
    double score(const Insertion* row, double most, int depth);

    const Model& model_;
    Random& random_;
    Insertions& insertions_;
    std::function<bool()> over_;
    std::vector<Insertion> table_;  // n x k, of the regret
    std::vector<std::pair<double, int>> keys_;
    std::vector<int> left_;
};

}  // namespace darp
