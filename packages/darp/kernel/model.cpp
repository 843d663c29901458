#include "model.hpp"

#include <algorithm>
#include <numeric>

namespace darp {

namespace {

// The same by column; empty where that makes no difference.
std::vector<double> transposed(const std::vector<double>& table, std::size_t side) {
    std::vector<double> result(table.size());
    for (std::size_t a = 0; a < side; ++a)
        for (std::size_t b = 0; b < side; ++b) result[b * side + a] = table[a * side + b];
    if (result == table) result.clear();
    return result;
}

}  // namespace

// Nodes at the same place share a row: what a search reads all the time shall fit into the nearest caches.
void Model::fold() {
    if (place.empty()) {
        place.resize(nodes);
        std::iota(place.begin(), place.end(), 0);
    }
    places = nodes > 0 ? 1 + *std::max_element(place.begin(), place.end()) : 0;
    std::vector<std::size_t> node_at(places);
    for (int node = 0; node < nodes; ++node) node_at[place[node]] = node;
    const auto folded = [&](const std::vector<double>& table) {
        std::vector<double> result;
        result.reserve(node_at.size() * node_at.size());
        for (std::size_t from : node_at)
            for (std::size_t to : node_at) result.push_back(table[from * nodes + to]);
        return result;
    };
    const bool same = arc == duration;
    duration = folded(duration);
    duration_into = transposed(duration, places);
    arc = same ? std::vector<double>{} : folded(arc);
    arc_into = transposed(arc, same ? 0 : places);
}

void Model::derive() {
    fold();
    aboard.assign(n, nowhere);
    for (int vehicle = 0; vehicle < k; ++vehicle)
        for (int node : prefix[vehicle])
            if (is_pickup(node)) aboard[node] = vehicle;
    near.assign(n, Nodes(n));
    for (int request = 0; request < n; ++request) {
        const double* far = &nearness[static_cast<std::size_t>(request) * n];
        std::iota(near[request].begin(), near[request].end(), 0);
        std::stable_sort(near[request].begin(), near[request].end(), [far](int a, int b) { return far[a] < far[b]; });
    }
}

Nodes Model::empty(int vehicle) const {
    Nodes route{start(vehicle)};
    route.insert(route.end(), prefix[vehicle].begin(), prefix[vehicle].end());
    route.push_back(start(vehicle) + 1);
    return route;
}

double Model::route_cost(int vehicle, const Nodes& route) const {
    if (route.size() == 2) return 0.0;
    double total = 0.0;
    for (std::size_t index = 0; index + 1 < route.size(); ++index) total += cost(route[index], route[index + 1]);
    total += fixed_cost[vehicle];
    for (int node : route)
        if (is_pickup(node)) total += assigned(node, vehicle);
    return total;
}

unsigned Model::holding(int vehicle, const int* amounts, const int* more) const {
    unsigned mask = 0;
    for (int layout = 0; layout < layouts_of(vehicle); ++layout) {
        const int* room = &layouts[static_cast<std::size_t>(layout_begin[vehicle] + layout) * dimensions];
        bool holds = true;
        for (int d = 0; d < dimensions && holds; ++d) holds = amounts[d] + (more ? more[d] : 0) <= room[d];
        if (holds) mask |= 1U << layout;
    }
    return mask;
}

}  // namespace darp
