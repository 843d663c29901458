// The kernel under sanitizers: random problems, searched by several threads at once.
#include <cmath>
#include <cstdio>

#include "../kernel/search.hpp"

namespace {

using darp::Model;

Model random_model(darp::Random& random, int n, int k) {
    Model model;
    model.n = n;
    model.k = k;
    model.nodes = 2 * (n + k);
    model.dimensions = 2;
    std::vector<double> x(model.nodes), y(model.nodes);
    for (int node = 0; node < model.nodes; ++node) x[node] = random.real() * 10, y[node] = random.real() * 10;
    for (int a = 0; a < model.nodes; ++a)
        for (int b = 0; b < model.nodes; ++b) model.duration.push_back(std::hypot(x[a] - x[b], y[a] - y[b]));
    model.arc = model.duration;
    for (int node = 0; node < model.nodes; ++node) {
        model.earliest.push_back(node < 2 * n ? random.real() * 60 : 0.0);
        model.latest.push_back(node < 2 * n ? model.earliest.back() + 60 : 200.0);
        model.service.push_back(node < 2 * n ? 1.0 : 0.0);
    }
    for (int request = 0; request < n; ++request) {
        model.load.push_back(1 + random.below(2));
        model.load.push_back(random.below(2));
        model.company.push_back(random.below(2));
        model.max_ride.push_back(random.chance(0.5) ? darp::infinity : 15.0);
        model.penalty.push_back(1000.0);
        for (int vehicle = 0; vehicle < k; ++vehicle) {  // request 0 is on board of vehicle 0
            const bool refused = request == 0 ? vehicle > 0 : random.chance(0.1);
            model.assignment.push_back(refused ? darp::infinity : 0.0);
        }
        for (int other = 0; other < n; ++other) model.nearness.push_back(model.duration[request * model.nodes + other]);
    }
    model.layout_begin.push_back(0);
    for (int vehicle = 0; vehicle < k; ++vehicle) {
        model.layouts.insert(model.layouts.end(), {4, 0, 2, 2});
        model.layout_begin.push_back(2 * (vehicle + 1));
        model.max_duration.push_back(150.0);
        model.fixed_cost.push_back(5.0);
        model.facts.push_back(0);
        model.prefix.push_back(vehicle == 0 && n > 0 ? darp::Nodes{0} : darp::Nodes{});
    }
    model.layout_change = static_cast<darp::LayoutChange>(random.below(3));
    model.derive();
    return model;
}

}  // namespace

int main() {
    darp::Random random(1);
    std::size_t served = 0;
    for (int round = 0; round < 40; ++round) {
        const int n = random.below(25), k = random.below(5);
        const Model model = random_model(random, n, k);
        const darp::Found first =
            darp::search(model, 10.0, darp::Clock::wall, 60, static_cast<std::uint64_t>(round), 2, {});
        const darp::Found second = darp::search(model, 10.0, darp::Clock::cpu, 20, 7, 1, first.routes);
        if (second.value > first.value + 1e-6) return 1;
        served += static_cast<std::size_t>(n) - second.unserved.size();
    }
    std::printf("%zu served\n", served);
    return served > 0 ? 0 : 1;
}
