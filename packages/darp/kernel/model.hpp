// One problem as flat arrays; see darp/arrays.py for what they mean.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace darp {

using Nodes = std::vector<int>;

constexpr double tolerance = 1e-6;  // in every comparison with a latest time
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int nowhere = -1;

enum class LayoutChange { when_empty, anywhere, per_route };

struct Model {
    int n = 0;               // requests
    int k = 0;               // vehicles
    int nodes = 0;           // 2n + 2k
    int dimensions = 1;      // of a load
    std::vector<int> place;  // of each node, its row in the tables; empty: each has its own
    int places = 0;
    // places x places once derived, nodes x nodes before; arc is empty where it is the same as duration, and the tables
    // by the place that a way leads to where they are the same as by the one it comes from.
    std::vector<double> duration, arc, duration_into, arc_into;
    std::vector<double> earliest, latest, service;  // nodes
    std::vector<int> load;                          // n x dimensions
    std::vector<int> company;                       // n: the same for those who may be on board together
    std::vector<double> max_ride, penalty;          // n
    std::vector<double> assignment;                 // n x k, infinity where a rule forbids it
    std::vector<double> max_duration, fixed_cost;   // k
    std::vector<int> layouts, layout_begin;         // rows of all vehicles; where those of a vehicle begin
    LayoutChange layout_change = LayoutChange::when_empty;
    std::vector<Nodes> prefix;
    std::vector<int> facts;
    std::vector<double> nearness;  // n x n
    std::vector<int> aboard;       // n: the vehicle that has the pickup pinned, or nowhere
    std::vector<Nodes> near;       // for each request all requests, the nearest first

    // Fill in what follows from the rest.
    void derive();

    double time(int from, int to) const { return time_from(from)[place[to]]; }
    double cost(int from, int to) const { return cost_from(from)[place[to]]; }
    // Of all ways from or into one node, by the place of the other.
    const double* time_from(int node) const { return row(duration, node); }
    const double* time_into(int node) const { return row(duration_into.empty() ? duration : duration_into, node); }
    const double* cost_from(int node) const { return arc.empty() ? time_from(node) : row(arc, node); }
    const double* cost_into(int node) const {
        if (arc.empty()) return time_into(node);
        return row(arc_into.empty() ? arc : arc_into, node);
    }
    double assigned(int request, int vehicle) const {
        return assignment[static_cast<std::size_t>(request) * k + vehicle];
    }
    int start(int vehicle) const { return 2 * (n + vehicle); }
    bool is_pickup(int node) const { return node < n; }
    bool is_dropoff(int node) const { return n <= node && node < 2 * n; }
    int request(int node) const { return node < n ? node : node - n; }
    const int* load_of(int request) const { return &load[static_cast<std::size_t>(request) * dimensions]; }
    int layouts_of(int vehicle) const { return layout_begin[vehicle + 1] - layout_begin[vehicle]; }

    Nodes empty(int vehicle) const;
    // Arcs, fixed cost and bonuses; an unused vehicle costs nothing.
    double route_cost(int vehicle, const Nodes& route) const;
    // Bit mask of the vehicle's layouts that hold a load, and optionally another one with it.
    unsigned holding(int vehicle, const int* amounts, const int* more = nullptr) const;

private:
    void fold();
    const double* row(const std::vector<double>& table, int node) const {
        return &table[static_cast<std::size_t>(place[node]) * places];
    }
};

}  // namespace darp
