#include "removal.hpp"

#include <algorithm>
#include <cmath>

namespace darp {

namespace {
constexpr int most = 12;
constexpr double longest_string = 8.0;
constexpr double ways[] = {1.0, 2.0, 1.0, 0.6};
}  // namespace

void Removal::look_at(const Solution& solution) {
    solution_ = &solution;
    for (int request : chosen_) is_chosen_[request] = 0;
    chosen_.clear();
    served_.clear();
    std::fill(vehicle_.begin(), vehicle_.end(), nowhere);
    for (int vehicle = 0; vehicle < model_.k; ++vehicle) {
        const Nodes& nodes = solution.routes[vehicle].nodes;
        for (std::size_t index = model_.prefix[vehicle].size() + 1; index < nodes.size(); ++index) {
            if (!model_.is_dropoff(nodes[index])) continue;
            vehicle_[model_.request(nodes[index])] = vehicle;
            served_.push_back(model_.request(nodes[index]));
        }
    }
}

void Removal::choose(int request) {
    if (!open(request)) return;
    is_chosen_[request] = 1;
    chosen_.push_back(request);
}

const std::vector<int>& Removal::strings(const Solution& solution) {
    look_at(solution);
    const double average = 2.0 * static_cast<double>(served_.size()) / model_.k;
    const double longest = std::max(1.0, std::min(longest_string, average));
    const double spread = std::max(1.0, 4.0 * most / (1.0 + longest) - 1.0);
    int left = 1 + static_cast<int>(random_.real() * spread);
    std::vector<char> cut_already(model_.k, 0);
    for (int request : model_.near[random_.below(model_.n)]) {
        if (left == 0 || static_cast<int>(chosen_.size()) >= most) break;
        if (!open(request) || cut_already[vehicle_[request]]) continue;
        cut_already[vehicle_[request]] = 1;
        --left;
        cut(vehicle_[request], request, longest);
    }
    return chosen_;
}

// Choose a string around a stop of the request; half of the strings keep some stops in their middle.
void Removal::cut(int vehicle, int request, double longest) {
    const Nodes& nodes = solution_->routes[vehicle].nodes;
    const int first = static_cast<int>(model_.prefix[vehicle].size()) + 1, end = static_cast<int>(nodes.size()) - 1;
    const int wanted = random_.chance(0.5) && model_.aboard[request] == nowhere ? request : request + model_.n;
    const int centre = static_cast<int>(std::find(nodes.begin() + first, nodes.begin() + end, wanted) - nodes.begin());
    int length = 1 + static_cast<int>(random_.real() * std::min<double>(end - first, longest));
    const int begin = std::max(first, std::min(centre - random_.below(length), end - length));
    int keep_from = end, keep_to = end;
    if (length > 2 && random_.chance(0.5)) {
        const int keep = 1 + random_.below(length / 2);
        keep_from = begin + random_.below(length - keep);
        keep_to = keep_from + keep;
        length = std::min(end - begin, length + keep);
    }
    for (int index = begin; index < begin + length; ++index)
        if (index < keep_from || index >= keep_to) choose(model_.request(nodes[index]));
}

const std::vector<int>& Removal::classic(const Solution& solution) {
    look_at(solution);
    if (served_.empty()) return chosen_;
    const int count = std::min(static_cast<int>(served_.size()), 2 + random_.below(most - 1));
    switch (random_.weighted(ways)) {
        case 0:
            any(count);
            break;
        case 1:
            related(count);
            break;
        case 2:
            worst(count);
            break;
        default:
            route();
    }
    return chosen_;
}

void Removal::any(int count) {
    while (static_cast<int>(chosen_.size()) < count) choose(served_[random_.below(static_cast<int>(served_.size()))]);
}

// Those like one already chosen, the likest most often.
void Removal::related(int count) {
    choose(served_[random_.below(static_cast<int>(served_.size()))]);
    while (static_cast<int>(chosen_.size()) < count) {
        const Nodes& near = model_.near[chosen_[random_.below(static_cast<int>(chosen_.size()))]];
        const int others = static_cast<int>(served_.size() - chosen_.size());
        int rank = static_cast<int>(std::pow(random_.real(), 6) * others);
        for (int request : near)
            if (open(request) && rank-- == 0) {
                choose(request);
                break;
            }
    }
}

// Those whose removal saves most, with some noise.
void Removal::worst(int count) {
    saved_.assign(model_.n, 0.0);
    for (const Route& route : solution_->routes)
        for (std::size_t index = 1; index + 1 < route.nodes.size(); ++index) {
            const int before = route.nodes[index - 1], node = route.nodes[index], after = route.nodes[index + 1];
            saved_[model_.request(node)] +=
                model_.cost(before, node) + model_.cost(node, after) - model_.cost(before, after);
        }
    ranking_.clear();
    for (int request : served_) ranking_.emplace_back(-saved_[request] * (0.8 + 0.4 * random_.real()), request);
    std::sort(ranking_.begin(), ranking_.end());
    while (static_cast<int>(chosen_.size()) < count)
        choose(ranking_[static_cast<std::size_t>(std::pow(random_.real(), 3) * static_cast<double>(ranking_.size()))]
                   .second);
}

// Everyone of one vehicle.
void Removal::route() {
    const int vehicle = vehicle_[served_[random_.below(static_cast<int>(served_.size()))]];
    for (int request : served_)
        if (vehicle_[request] == vehicle) choose(request);
}

}  // namespace darp
