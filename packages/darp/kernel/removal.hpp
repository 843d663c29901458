// Whom to take out of a solution, in five ways.
#pragma once

#include "random.hpp"
#include "solution.hpp"

namespace darp {

class Removal {
public:
    Removal(const Model& model, Random& random)
        : model_(model), random_(random), vehicle_(model.n), is_chosen_(model.n, 0) {}

    // Strings of stops out of routes that pass near a random request (Christiaens and Vanden Berghe, SISR).
    const std::vector<int>& strings(const Solution& solution);
    // One of the four ways of adaptive large neighbourhood search: any, related, worst, a whole route.
    const std::vector<int>& classic(const Solution& solution);

private:
    void look_at(const Solution& solution);
    void cut(int vehicle, int request, double longest);
    void any(int count);
    void related(int count);
    void worst(int count);
    void route();
    void choose(int request);
    bool open(int request) const { return vehicle_[request] != nowhere && !is_chosen_[request]; }

    const Model& model_;
    Random& random_;
    const Solution* solution_ = nullptr;
    std::vector<int> vehicle_;  // of each request that may leave its route, else nowhere
    std::vector<int> served_, chosen_;
    std::vector<char> is_chosen_;
    std::vector<std::pair<double, int>> ranking_;
    std::vector<double> saved_;
};

}  // namespace darp
