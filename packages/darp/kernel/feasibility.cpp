#include "feasibility.hpp"

#include <algorithm>

namespace darp {

namespace {
constexpr double still = 1e-9;
}

void Line::read(const Model& model, int vehicle, const Nodes& route) {
    const std::size_t size = route.size();
    moving = std::max(1, model.facts[vehicle]);
    max_duration = model.max_duration[vehicle];
    earliest.resize(size);
    latest.resize(size);
    leg.resize(size);
    for (std::size_t index = 0; index < size; ++index) {
        const int node = route[index];
        earliest[index] = model.earliest[node];
        latest[index] = model.latest[node];
        leg[index] = model.service[node] + (index + 1 < size ? model.time(node, route[index + 1]) : 0.0);
    }
    begin = earliest;
    find_rides(model, route);
}

bool Line::settle(int before, int stable) {
    if (!sweep_forward(before, stable)) return false;
    // A chain of lower bounds that comes back to none of its rules is no longer than this; a longer one never ends.
    for (std::size_t round = 0; round < rides.size() + 2; ++round) {
        const Moved moved = sweep_backward();
        if (moved.too_late) return false;
        if (moved.last < 0) return true;
        if (!sweep_forward(moved.first, moved.last + 1)) return false;
    }
    return false;
}

bool Line::sweep_forward(int before, int stable) {
    const int end = size();
    for (int index = std::max(before + 1, moving); index < end; ++index) {
        const double arrival = begin[index - 1] + leg[index - 1];
        if (arrival > begin[index])
            begin[index] = arrival;
        else if (index >= stable)
            return begin[index] <= latest[index] + tolerance;
        if (begin[index] > latest[index] + tolerance) return false;
    }
    return true;
}

bool Line::raise(int index, double least, Moved& moved) {
    if (least <= begin[index] + still) return true;
    begin[index] = least;
    moved.first = std::min(moved.first, index);
    moved.last = std::max(moved.last, index);
    moved.too_late = least > latest[index] + tolerance;
    return !moved.too_late;
}

Line::Moved Line::sweep_backward() {
    Moved moved{size(), -1, false};
    if (!raise(0, begin.back() - max_duration, moved)) return moved;
    for (const Ride& ride : rides)
        if (!raise(ride.pickup, begin[ride.dropoff] - ride.longest, moved)) return moved;
    return moved;
}

void Line::ceiling(std::vector<double>& greatest) const {
    const int last = size() - 1;
    greatest = latest;
    bool changed = true;
    for (std::size_t round = 0; changed && round < rides.size() + 2; ++round) {
        for (int index = last - 1; index >= moving - 1; --index)
            greatest[index] = std::min(greatest[index], greatest[index + 1] - leg[index]);
        changed = false;
        const auto lower = [&](int index, double most) {
            if (most >= greatest[index] - still) return;
            greatest[index] = most;
            changed = true;
        };
        for (const Ride& ride : rides) lower(ride.dropoff, greatest[ride.pickup] + ride.longest);
        lower(last, greatest[0] + max_duration);
    }
}

void Line::find_rides(const Model& model, const Nodes& route) {
    rides.clear();
    position_.resize(model.n);
    const int size = static_cast<int>(route.size());
    for (int index = 0; index < size; ++index)
        if (model.is_pickup(route[index])) position_[route[index]] = index;
    for (int index = size - 1; index > 0; --index) {
        if (!model.is_dropoff(route[index])) continue;
        const int pickup = route[index] - model.n, there = position_[pickup];
        if (0 <= there && there < size && route[there] == pickup)
            rides.push_back({there, index, model.service[pickup] + model.max_ride[pickup]});
    }
}

bool loads_fit(const Model& model, int vehicle, const Nodes& route) {
    const unsigned every = (1U << model.layouts_of(vehicle)) - 1;
    std::vector<int> load(model.dimensions, 0);
    unsigned possible = every;
    Company company;
    for (std::size_t index = 1; index + 1 < route.size(); ++index) {
        const int sign = model.is_pickup(route[index]) ? 1 : -1;
        const int* carried = model.load_of(model.request(route[index]));
        company.pass(model, route[index]);
        if (company.shared == Company::mixed) return false;
        for (int d = 0; d < model.dimensions; ++d) load[d] += sign * carried[d];
        const bool at_will = model.layout_change == LayoutChange::anywhere;
        if (at_will || (company.aboard == 0 && model.layout_change == LayoutChange::when_empty)) possible = every;
        if (company.aboard == 0) continue;
        possible &= model.holding(vehicle, load.data());
        if (possible == 0) return false;
    }
    return true;
}

}  // namespace darp
