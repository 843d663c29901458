// Routes that a search works on, each with a version that names its content.
#pragma once

#include "insertion.hpp"

namespace darp {

struct Route {
    Nodes nodes;
    double cost = 0.0;
    std::int64_t version = 0;  // two routes of a vehicle with the same version are the same
};

struct Solution {
    std::vector<Route> routes;
    std::vector<int> unserved;

    double served_cost() const;
    // Become equal to another one, copying only the routes that differ.
    void follow(const Solution& other);
};

// The cheapest insertion of each request into each route, remembered for two versions: the current and a tried one.
class Insertions {
public:
    explicit Insertions(const Model& model);

    // The solution that has these routes, or empty ones; whoever is in none of them is unserved.
    Solution started(const std::vector<Nodes>& routes);
    const Insertion& find(int request, int vehicle, const Solution& solution);
    void insert(Solution& solution, int request, int vehicle, const Insertion& insertion);
    // Remove the chosen requests (flags) from their routes; what is pinned stays.
    void take_out(Solution& solution, const std::vector<int>& requests);
    // The versions that stay remembered while others are tried.
    void keep(const Solution& current);

private:
    struct Known {
        std::int64_t version[2] = {-1, -1};
        Insertion insertion[2];
    };

    const Model& model_;
    Inserter inserter_;
    std::int64_t versions_ = 0;
    std::vector<Known> known_;  // n x k
    std::vector<Ahead> ahead_;  // k
    std::vector<std::int64_t> ahead_version_;
    std::vector<std::int64_t> kept_;
    std::vector<char> out_;
    Nodes changed_;
};

}  // namespace darp
