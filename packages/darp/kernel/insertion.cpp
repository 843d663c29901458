#include "insertion.hpp"

#include <algorithm>

namespace darp {

namespace {
constexpr double cheaper = 1e-9;
constexpr double shorter = -1e-9;          // an added time below this makes a way shorter
constexpr double loosely = 2 * tolerance;  // what is ruled out is so by more than a rule may be missed
}  // namespace

Insertion Inserter::cheapest(const Ahead& ahead, const Nodes& route, int request) {
    best_ = {};
    const double assigned = model_.assigned(request, ahead.vehicle);
    if (assigned == infinity) return best_;
    ahead_ = &ahead;
    route_ = &route;
    request_ = request;
    dropoff_ = request + model_.n;
    if (model_.aboard[request] != nowhere) {
        place_dropoff();  // who is on board already is assigned, and the vehicle is used
    } else {
        place_both();
        best_.cost += ahead.entry + assigned;
    }
    return best_;
}

// Every position after the prefix for the drop-off of someone on board.
void Inserter::place_dropoff() {
    warm_ = false;
    const Nodes& route = *route_;
    for (int after = ahead_->first; after + 1 < static_cast<int>(route.size()); ++after) {
        const double to = model_.cost(route[after], dropoff_), from = model_.cost(dropoff_, route[after + 1]);
        attempt(to + from - ahead_->cost[after], nowhere, after);
    }
}

void Inserter::place_both() {
    bounds_ = ahead_->loose();
    if (!find_range()) return;
    warm_ = measure() && ahead_->sound;
    if (warm_) {
        bounds_ = ahead_->tight();
        if (!find_range()) return;
    }
    const double soonest = model_.earliest[request_], latest = model_.latest[request_] + loosely;
    for (int index = begin_; index < end_; ++index) {
        const int node = (*route_)[index];
        const double leave = bounds_.least_before[index] + model_.service[node];
        if (leave > latest) return;
        const double begin = std::max(leave + model_.time_into(request_)[ahead_->place[index]], soonest);
        if (begin > latest || !holds(index)) continue;
        place_together(index, begin);
        if (index + 1 < end_ && pickups_.time[index] <= bounds_.slack[index] + loosely &&
            pickups_.cost[index] + cheapest_dropoff_[index + 1] < best_.cost - cheaper)
            place_dropoff_after(index, begin);
    }
}

// The positions after which the request may be put: where the stop after it is not over before the request begins, and
// one before it does not begin after the request has to end.
bool Inserter::find_range() {
    const int last = ahead_->line.size() - 1;
    const double soonest = model_.earliest[request_] - loosely, latest = model_.latest[dropoff_] + loosely;
    begin_ = ahead_->first;
    while (begin_ < last && bounds_.greatest_aboard[begin_ + 1] < soonest) ++begin_;
    end_ = begin_;
    while (end_ < last && bounds_.least_aboard[end_] <= latest) ++end_;
    return begin_ < end_;
}

// What each place adds; whether none of them makes a way shorter.
bool Inserter::measure() {
    const std::vector<int>& place = ahead_->place;
    const std::size_t size = place.size();
    for (Detours* one : {&pickups_, &dropoffs_}) one->cost.resize(size), one->time.resize(size);
    cheapest_dropoff_.resize(size);
    const double *to = model_.time_into(request_), *from = model_.time_from(request_);
    const double *to_off = model_.time_into(dropoff_), *from_off = model_.time_from(dropoff_);
    const double *pay_to = model_.cost_into(request_), *pay_from = model_.cost_from(request_);
    const double *pay_to_off = model_.cost_into(dropoff_), *pay_from_off = model_.cost_from(dropoff_);
    const double service = model_.service[request_], service_off = model_.service[dropoff_];
    const double ride = service + from[model_.place[dropoff_]];
    double least = infinity;
    for (int index = end_ - 1; index >= begin_; --index) {
        const int before = place[index], after = place[index + 1];
        const double time = ahead_->line.leg[index] - model_.service[(*route_)[index]], cost = ahead_->cost[index];
        pickups_.time[index] = to[before] + service + from[after] - time;
        dropoffs_.time[index] = to_off[before] + service_off + from_off[after] - time;
        const double both = to[before] + ride + service_off + from_off[after] - time;
        least = std::min({least, pickups_.time[index], dropoffs_.time[index], both});
        pickups_.cost[index] = pay_to[before] + pay_from[after] - cost;
        dropoffs_.cost[index] = pay_to_off[before] + pay_from_off[after] - cost;
        const double later = index + 1 < end_ ? cheapest_dropoff_[index + 1] : infinity;
        cheapest_dropoff_[index] = std::min(later, dropoffs_.cost[index]);
    }
    return least >= shorter;
}

void Inserter::place_together(int index, double begin) {
    const double cost = model_.cost_into(request_)[ahead_->place[index]] + model_.cost(request_, dropoff_) +
                        model_.cost_from(dropoff_)[ahead_->place[index + 1]] - ahead_->cost[index];
    if (cost >= best_.cost - cheaper) return;
    const double begin_there = begin + model_.service[request_] + model_.time(request_, dropoff_);
    if (in_time(begin_there, index)) attempt(cost, index, index);
}

// Go on from the pickup, carrying the request, as long as that keeps the bounds.
void Inserter::place_dropoff_after(int pickup_after, double begin) {
    const Nodes& route = *route_;
    const Ahead& ahead = *ahead_;
    const double longest = model_.max_ride[request_] + loosely, added = pickups_.cost[pickup_after];
    const double* to_dropoff = model_.time_into(dropoff_);
    double ride = model_.time(request_, route[pickup_after + 1]);
    double now = begin + model_.service[request_] + ride;
    for (int index = pickup_after + 1; index < end_; ++index) {
        const int node = route[index];
        now = std::max(now, bounds_.least_aboard[index]);
        if (now > bounds_.greatest_aboard[index] + loosely || ride > longest || !holds(index)) return;
        if (added + cheapest_dropoff_[index] >= best_.cost - cheaper) return;
        const double cost = added + dropoffs_.cost[index], way = model_.service[node] + to_dropoff[ahead.place[index]];
        if (cost < best_.cost - cheaper && ride + way <= longest &&
            dropoffs_.time[index] <= bounds_.slack[index] + loosely && in_time(now + way, index))
            attempt(cost, pickup_after, index);
        ride += ahead.line.leg[index];
        now += ahead.line.leg[index];
    }
}

// Whether the drop-off, begun then after this position, leaves the rest of the route open.
bool Inserter::in_time(double begin, int index) const {
    begin = std::max(begin, model_.earliest[dropoff_]);
    if (begin > model_.latest[dropoff_] + loosely) return false;
    const double there = begin + model_.service[dropoff_] + model_.time_from(dropoff_)[ahead_->place[index + 1]];
    return there <= bounds_.greatest_after[index + 1] + loosely;
}

// Whether some layout holds what is on board after this position, and the request, and they may meet.
bool Inserter::holds(int index) const {
    const int company = ahead_->company[index];
    if (company != nowhere && company != model_.company[request_]) return false;
    const int* load = &ahead_->load[static_cast<std::size_t>(index) * model_.dimensions];
    return model_.holding(ahead_->vehicle, load, model_.load_of(request_)) != 0;
}

// Keep this pair if it is cheaper than the best and the route with it keeps every rule.
void Inserter::attempt(double cost, int pickup_after, int dropoff_after) {
    if (cost >= best_.cost - cheaper) return;
    // With one layout the scan has tested each stretch; on board for longer, someone may be in the way of others.
    if (model_.layouts_of(ahead_->vehicle) > 1 || pickup_after == nowhere) {
        insert_into(trial_nodes_, model_, *route_, request_, pickup_after, dropoff_after);
        if (!loads_fit(model_, ahead_->vehicle, trial_nodes_)) return;
    }
    splice(pickup_after, dropoff_after);
    const int before = warm_ ? pickup_after : 0, stable = warm_ ? dropoff_after + 4 : trial_.size();
    if (trial_.settle(before, stable)) best_ = {cost, pickup_after, dropoff_after};
}

// The route with the request as a line of rules: at the least times of the route before it where those still bound it.
void Inserter::splice(int pickup_after, int dropoff_after) {
    const Line& line = ahead_->line;
    const int size = line.size(), shift = pickup_after == nowhere ? 0 : 1;
    const auto spread = [&](std::vector<double>& to, const std::vector<double>& from, double pickup, double dropoff) {
        to.resize(size + 1 + shift);
        double* out = to.data();
        const double* in = from.data();
        out = std::copy(in, in + pickup_after + 1, out);
        if (shift) *out++ = pickup;
        out = std::copy(in + pickup_after + 1, in + dropoff_after + 1, out);
        *out++ = dropoff;
        std::copy(in + dropoff_after + 1, in + size, out);
    };
    spread(trial_.begin, warm_ ? line.begin : line.earliest, model_.earliest[request_], model_.earliest[dropoff_]);
    spread(trial_.latest, line.latest, model_.latest[request_], model_.latest[dropoff_]);
    spread(trial_.leg, line.leg, 0.0, 0.0);
    const auto leg = [&](int from, int to) { return model_.service[from] + model_.time(from, to); };
    const Nodes& route = *route_;
    const int off = dropoff_after + 1 + shift;  // where the drop-off stands
    if (shift) {
        trial_.leg[pickup_after] = leg(route[pickup_after], request_);
        trial_.leg[pickup_after + 1] =
            leg(request_, dropoff_after == pickup_after ? dropoff_ : route[pickup_after + 1]);
    }
    if (dropoff_after != pickup_after) trial_.leg[off - 1] = leg(route[dropoff_after], dropoff_);
    trial_.leg[off] = leg(dropoff_, route[dropoff_after + 1]);
    trial_.moving = line.moving;
    trial_.max_duration = line.max_duration;
    splice_rides(pickup_after, dropoff_after);
}

void Inserter::splice_rides(int pickup_after, int dropoff_after) {
    const int shift = pickup_after == nowhere ? 0 : 1;
    const auto moved = [&](int index) { return index + (index > pickup_after ? shift : 0) + (index > dropoff_after); };
    Line::Ride own{pickup_after + 1, dropoff_after + 1 + shift, model_.service[request_] + model_.max_ride[request_]};
    if (shift == 0)
        own.pickup = static_cast<int>(std::find(route_->begin(), route_->end(), request_) - route_->begin());
    trial_.rides.clear();
    bool placed = false;
    for (const Line::Ride& ride : ahead_->line.rides) {
        if (!placed && ride.dropoff <= dropoff_after) trial_.rides.push_back(own), placed = true;
        trial_.rides.push_back({moved(ride.pickup), moved(ride.dropoff), ride.longest});
    }
    if (!placed) trial_.rides.push_back(own);
}

void insert_into(Nodes& result, const Model& model, const Nodes& route, int request, int pickup_after,
                 int dropoff_after) {
    const auto begin = route.begin();
    const auto after_pickup = begin + pickup_after + 1, after_dropoff = begin + dropoff_after + 1;
    result.clear();
    result.insert(result.end(), begin, after_pickup);
    if (pickup_after != nowhere) result.push_back(request);
    result.insert(result.end(), after_pickup, after_dropoff);
    result.push_back(request + model.n);
    result.insert(result.end(), after_dropoff, route.end());
}

}  // namespace darp
