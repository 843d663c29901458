#include <algorithm>

#include "insertion.hpp"

namespace darp {

void Ahead::read(const Model& model, int of_vehicle, const Nodes& route) {
    const std::size_t size = route.size();
    vehicle = of_vehicle;
    first = static_cast<int>(model.prefix[vehicle].size());
    // Nothing is paid for a vehicle that stays: its first request pays for the whole way, and for the vehicle.
    entry = size == 2 ? model.cost(route[0], route[1]) + model.fixed_cost[vehicle] : 0.0;
    place.resize(size);
    for (std::size_t index = 0; index < size; ++index) place[index] = model.place[route[index]];
    cost.resize(size);
    for (std::size_t index = 0; index + 1 < size; ++index) cost[index] = model.cost(route[index], route[index + 1]);
    line.read(model, vehicle, route);
    bound_loosely();
    sound = line.settle(0, line.size());
    if (sound) {
        line.ceiling(greatest);
        find_slack();
    }
    read_loads(model, route);
    read_company(model, route);
}

// By windows and travel alone.
void Ahead::bound_loosely() {
    const int size = line.size();
    arrival = line.earliest;
    latest = line.latest;
    free.assign(size, infinity);
    for (int index = line.moving; index < size; ++index)
        arrival[index] = std::max(arrival[index], arrival[index - 1] + line.leg[index - 1]);
    for (int index = size - 2; index >= 0; --index)
        latest[index] = std::min(latest[index], latest[index + 1] - line.leg[index]);
}

// What the duty, and the rides that pass a position, leave for a longer way there.
void Ahead::find_slack() {
    const int last = line.size() - 1;
    double work = 0.0;
    for (int index = line.moving - 1; index < last; ++index) work += line.leg[index];
    slack.assign(last + 1, line.max_duration - work);
    for (const Line::Ride& ride : line.rides) {
        double left = ride.longest;
        for (int index = std::max(ride.pickup, line.moving - 1); index < ride.dropoff; ++index) left -= line.leg[index];
        for (int index = ride.pickup; index < ride.dropoff; ++index) slack[index] = std::min(slack[index], left);
    }
}

void Ahead::read_loads(const Model& model, const Nodes& route) {
    const int size = static_cast<int>(route.size()), d = model.dimensions;
    load.assign(static_cast<std::size_t>(size) * d, 0);
    for (int index = 1; index < size; ++index) {
        const int node = route[index];
        const bool stop = model.is_pickup(node) || model.is_dropoff(node);
        const int sign = !stop ? 0 : model.is_pickup(node) ? 1 : -1;
        const int* carried = stop ? model.load_of(model.request(node)) : nullptr;
        for (int x = 0; x < d; ++x) load[index * d + x] = load[(index - 1) * d + x] + (stop ? sign * carried[x] : 0);
    }
}

void Ahead::read_company(const Model& model, const Nodes& route) {
    Company now;
    company.clear();
    for (int node : route) {
        now.pass(model, node);
        company.push_back(now.shared);
    }
}

}  // namespace darp
