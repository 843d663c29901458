#include "repair.hpp"

#include <algorithm>
#include <cmath>

namespace darp {

namespace {
constexpr double blink = 0.02;
constexpr double noise_share = 0.12;
constexpr double depths[] = {1.0, 1.0, 1.0, 0.5};  // 1, 2, 3, all
}  // namespace

void Repair::greedy(Solution& solution) {
    order(solution.unserved);
    left_.clear();
    for (int request : solution.unserved) {
        Insertion best;
        int where = nowhere;
        const bool late = over_();
        for (int vehicle = 0; vehicle < model_.k && !late; ++vehicle) {
            if (random_.chance(blink)) continue;
            const Insertion& found = insertions_.find(request, vehicle, solution);
            if (found.cost < best.cost) best = found, where = vehicle;
        }
        if (where == nowhere)
            left_.push_back(request);
        else
            insertions_.insert(solution, request, where, best);
    }
    solution.unserved = left_;
}

// Who is on board first, then at random, by time, by how narrow their windows are, or by how far they go.
void Repair::order(std::vector<int>& requests) {
    const double draw = random_.real();
    keys_.clear();
    for (int request : requests)
        keys_.emplace_back(model_.aboard[request] != nowhere ? -infinity : key(request, draw), request);
    std::sort(keys_.begin(), keys_.end());
    for (std::size_t index = 0; index < keys_.size(); ++index) requests[index] = keys_[index].second;
}

double Repair::key(int request, double draw) {
    const int dropoff = request + model_.n;
    if (draw < 0.35) return random_.real();
    if (draw < 0.6) return model_.earliest[request];
    if (draw < 0.75)
        return model_.latest[request] - model_.earliest[request] + model_.latest[dropoff] - model_.earliest[dropoff];
    const double away = model_.cost(model_.start(0), request);
    return draw < 0.9 ? -(away + model_.cost(request, dropoff)) : away;
}

bool Repair::fill_table(const Solution& solution) {
    for (int request : solution.unserved) {
        if (over_()) return false;
        for (int vehicle = 0; vehicle < model_.k; ++vehicle)
            table_[static_cast<std::size_t>(request) * model_.k + vehicle] =
                insertions_.find(request, vehicle, solution);
    }
    return true;
}

// What is lost by not taking the cheapest vehicle; -infinity if no vehicle can.
double Repair::score(const Insertion* row, double most, int depth) {
    double least[3] = {infinity, infinity, infinity};
    double all = 0.0;
    for (int vehicle = 0; vehicle < model_.k; ++vehicle) {
        double cost = row[vehicle].cost;
        all += std::min(cost, most);
        for (double& place : least)
            if (cost < place) std::swap(cost, place);
    }
    if (least[0] == infinity) return -infinity;
    double score = -least[0];
    if (depth == 2 || depth == 3) {
        score = 0.0;
        for (int rank = 1; rank < std::min(depth, model_.k); ++rank) score += std::min(least[rank], most) - least[0];
    } else if (depth > 3) {
        score = all - model_.k * least[0];
    }
    return score - 1e-3 * least[0];
}

void Repair::regret(Solution& solution) {
    const int depth = 1 + random_.weighted(depths);
    const double noise = random_.chance(0.5) ? noise_share : 0.0;
    std::vector<int>& waiting = solution.unserved;
    if (!fill_table(solution)) return;
    while (!waiting.empty() && !over_()) {
        std::size_t next = waiting.size();
        double highest = -infinity;
        for (std::size_t index = 0; index < waiting.size(); ++index) {
            const int request = waiting[index];
            double value = score(&table_[static_cast<std::size_t>(request) * model_.k], model_.penalty[request], depth);
            if (value == -infinity) continue;
            if (noise > 0.0) value += std::abs(value) * noise * (2.0 * random_.real() - 1.0);
            if (value > highest || next == waiting.size()) highest = value, next = index;
        }
        if (next == waiting.size()) return;
        const int request = waiting[next];
        const Insertion* row = &table_[static_cast<std::size_t>(request) * model_.k];
        const auto cheapest = std::min_element(row, row + model_.k,
                                               [](const Insertion& a, const Insertion& b) { return a.cost < b.cost; });
        const int vehicle = static_cast<int>(cheapest - row);
        insertions_.insert(solution, request, vehicle, *cheapest);
        waiting[next] = waiting.back();
        waiting.pop_back();
        for (int other : waiting)
            table_[static_cast<std::size_t>(other) * model_.k + vehicle] = insertions_.find(other, vehicle, solution);
    }
}

}  // namespace darp
