// The cheapest feasible place of a request in a route: every pair of positions, most of them ruled out cheaply.
//
// What rules a pair out before the exact test is implied by the rules, without help of the triangle inequality, which
// road matrices do not keep: so the answer is the one of plain enumeration.
#pragma once

#include "feasibility.hpp"

namespace darp {

// Added cost (infinity: no place), and the positions after which the two nodes go (pickup nowhere: it is there).
struct Insertion {
    double cost = infinity;
    int pickup_after = nowhere;
    int dropoff_after = nowhere;
};

// What is known of a route before anything is put into it, for each position.
struct Ahead {
    // Bounds on the begin of service at each position: before the request is picked up, while it is on board, and after
    // it; and how much longer the leg after a position may become.
    struct Bounds {
        const double *least_before, *least_aboard, *greatest_aboard, *greatest_after, *slack;
    };

    void read(const Model& model, int vehicle, const Nodes& route);
    // Where an insertion may make a way shorter: windows alone, and travel where nothing is put in.
    Bounds loose() const {
        return {arrival.data(), line.earliest.data(), line.latest.data(), latest.data(), free.data()};
    }
    // Where no place makes a way shorter: those who are there keep every rule as if nothing were put in.
    Bounds tight() const {
        return {line.begin.data(), line.begin.data(), greatest.data(), greatest.data(), slack.data()};
    }

    int vehicle = 0;
    int first = 0;       // position after which something may be put first
    double entry = 0.0;  // what a vehicle that stays so far costs when it goes
    Line line;           // at its least times, where it is sound
    bool sound = false;  // whether the route itself keeps every rule on times
    std::vector<double> arrival, latest, free;
    std::vector<double> greatest, slack;  // only where it is sound
    std::vector<int> place;               // row in the tables
    std::vector<double> cost;             // of the arc to the next position
    std::vector<int> company;             // of those on board after the position, nowhere if nobody is, or mixed
    std::vector<int> load;                // on board after the position, positions x dimensions

private:
    void bound_loosely();
    void find_slack();
    void read_loads(const Model& model, const Nodes& route);
    void read_company(const Model& model, const Nodes& route);
};

class Inserter {
public:
    explicit Inserter(const Model& model) : model_(model) {}

    Insertion cheapest(const Ahead& ahead, const Nodes& route, int request);

private:
    // One node after each position: what that adds to the cost and to the time.
    struct Detours {
        std::vector<double> cost, time;
    };

    void place_dropoff();
    void place_both();
    bool find_range();
    bool measure();
    void place_together(int index, double begin);
    void place_dropoff_after(int index, double begin);
    bool in_time(double begin, int index) const;
    bool holds(int index) const;
    void attempt(double cost, int pickup_after, int dropoff_after);
    void splice(int pickup_after, int dropoff_after);
    void splice_rides(int pickup_after, int dropoff_after);

    const Model& model_;
    const Ahead* ahead_ = nullptr;
    Ahead::Bounds bounds_{};
    const Nodes* route_ = nullptr;
    int request_ = 0, dropoff_ = 0;
    int begin_ = 0, end_ = 0;  // positions after which the request may be put, as far as windows say
    bool warm_ = false;        // whether the tight bounds hold
    Insertion best_;
    Detours pickups_, dropoffs_;
    std::vector<double> cheapest_dropoff_;  // at this position or a later one
    Line trial_;
    Nodes trial_nodes_;
};

// Writes the route with the request's nodes after the two positions of the given one.
void insert_into(Nodes& result, const Model& model, const Nodes& route, int request, int pickup_after,
                 int dropoff_after);

}  // namespace darp
