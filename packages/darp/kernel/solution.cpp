#include "solution.hpp"

namespace darp {

double Solution::served_cost() const {
    double total = 0.0;
    for (const Route& route : routes) total += route.cost;
    return total;
}

void Solution::follow(const Solution& other) {
    routes.resize(other.routes.size());
    for (std::size_t vehicle = 0; vehicle < routes.size(); ++vehicle)
        if (routes[vehicle].version != other.routes[vehicle].version) routes[vehicle] = other.routes[vehicle];
    unserved = other.unserved;
}

Insertions::Insertions(const Model& model)
    : model_(model),
      inserter_(model),
      known_(static_cast<std::size_t>(model.n) * model.k),
      ahead_(model.k),
      ahead_version_(model.k, -1),
      kept_(model.k, -1),
      out_(model.n, 0) {}

Solution Insertions::started(const std::vector<Nodes>& routes) {
    Solution solution;
    std::vector<char> served(model_.n, 0);
    for (int vehicle = 0; vehicle < model_.k; ++vehicle) {
        Nodes nodes = routes.empty() ? model_.empty(vehicle) : routes[vehicle];
        for (int node : nodes)
            if (model_.is_dropoff(node)) served[model_.request(node)] = 1;
        const double cost = model_.route_cost(vehicle, nodes);
        solution.routes.push_back({std::move(nodes), cost, ++versions_});
    }
    for (int request = 0; request < model_.n; ++request)
        if (!served[request]) solution.unserved.push_back(request);
    return solution;
}

const Insertion& Insertions::find(int request, int vehicle, const Solution& solution) {
    const Route& route = solution.routes[vehicle];
    Known& known = known_[static_cast<std::size_t>(request) * model_.k + vehicle];
    for (int slot = 0; slot < 2; ++slot)
        if (known.version[slot] == route.version) return known.insertion[slot];
    if (ahead_version_[vehicle] != route.version) {
        ahead_[vehicle].read(model_, vehicle, route.nodes);
        ahead_version_[vehicle] = route.version;
    }
    const int slot = known.version[0] == kept_[vehicle] ? 1 : 0;
    known.version[slot] = route.version;
    known.insertion[slot] = inserter_.cheapest(ahead_[vehicle], route.nodes, request);
    return known.insertion[slot];
}

void Insertions::insert(Solution& solution, int request, int vehicle, const Insertion& insertion) {
    Route& route = solution.routes[vehicle];
    insert_into(changed_, model_, route.nodes, request, insertion.pickup_after, insertion.dropoff_after);
    route.nodes.swap(changed_);
    route.cost += insertion.cost;
    route.version = ++versions_;
}

void Insertions::take_out(Solution& solution, const std::vector<int>& requests) {
    for (int request : requests) out_[request] = 1;
    for (int vehicle = 0; vehicle < model_.k; ++vehicle) {
        Route& route = solution.routes[vehicle];
        std::size_t kept = model_.prefix[vehicle].size() + 1;
        for (std::size_t index = kept; index < route.nodes.size(); ++index) {
            const int node = route.nodes[index];
            if (node >= 2 * model_.n || !out_[model_.request(node)]) route.nodes[kept++] = node;
        }
        if (kept == route.nodes.size()) continue;
        route.nodes.resize(kept);
        route.cost = model_.route_cost(vehicle, route.nodes);
        route.version = ++versions_;
    }
    for (int request : requests) out_[request] = 0;
    solution.unserved.insert(solution.unserved.end(), requests.begin(), requests.end());
}

void Insertions::keep(const Solution& current) {
    for (int vehicle = 0; vehicle < model_.k; ++vehicle) kept_[vehicle] = current.routes[vehicle].version;
}

}  // namespace darp
