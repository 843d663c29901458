// Whether a route keeps every rule, exactly: the least fixpoint of lower bounds, and loads against layouts.
#pragma once

#include "model.hpp"

namespace darp {

// The rules on the times of one route, position by position, without its nodes: what a fixpoint reads again and again.
struct Line {
    struct Ride {
        int pickup, dropoff;  // positions
        double longest;       // from the begin of service at one to that at the other
    };

    int moving = 1;                // first position whose time has not happened yet, but never the start
    double max_duration = 0.0;     // from the first to the last position
    std::vector<double> begin;     // of service: where raising starts, then the least times
    std::vector<double> earliest;  // service may begin
    std::vector<double> latest;    // service may begin
    std::vector<double> leg;       // least time from the begin of service to that at the next position
    std::vector<Ride> rides;       // the last drop-off first

    int size() const { return static_cast<int>(begin.size()); }
    void read(const Model& model, int vehicle, const Nodes& route);
    // Raise `begin` to the least times that keep every rule; false where there are none. before: positions up to this
    // one keep the rules about travel already; from `stable` on they do so if the one before it has not moved.
    bool settle(int before, int stable);
    // The greatest times that keep every rule, after `settle`.
    void ceiling(std::vector<double>& greatest) const;

private:
    struct Moved {
        int first, last;  // positions
        bool too_late;
    };

    bool sweep_forward(int before, int stable);
    Moved sweep_backward();
    bool raise(int index, double least, Moved& moved);
    void find_rides(const Model& model, const Nodes& route);

    std::vector<int> position_;  // of each pickup; only right where the route says so too
};

// Who is on board along a route: the share class that all of them have, nowhere if nobody is there, or mixed for good.
struct Company {
    static constexpr int mixed = -2;

    int aboard = 0;
    int shared = nowhere;

    void pass(const Model& model, int node) {
        if (model.is_pickup(node)) {
            const int own = model.company[node];
            shared = shared == nowhere || shared == own ? own : mixed;
            ++aboard;
        } else if (model.is_dropoff(node)) {
            if (--aboard == 0 && shared != mixed) shared = nowhere;
        }
    }
};

// Whether there is one share class at a time, and a layout for every stretch within which the vehicle may not be
// rearranged.
bool loads_fit(const Model& model, int vehicle, const Nodes& route);

}  // namespace darp
