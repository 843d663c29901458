// The kernel as a Python module: what darp/_kernel.pyi says.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "search.hpp"

namespace nb = nanobind;

namespace darp {
namespace {

template <typename Value>
std::vector<Value> copied(nb::handle values, const char* name) {
    const auto array = nb::cast<nb::ndarray<const Value, nb::c_contig, nb::device::cpu>>(values.attr(name));
    return {array.data(), array.data() + array.size()};
}

Model read(nb::handle values) {
    Model model;
    model.n = nb::cast<int>(values.attr("requests"));
    model.k = nb::cast<int>(values.attr("vehicles"));
    model.nodes = 2 * (model.n + model.k);
    model.place = copied<int>(values, "place");
    model.duration = copied<double>(values, "duration");
    model.arc = copied<double>(values, "cost");
    model.earliest = copied<double>(values, "earliest");
    model.latest = copied<double>(values, "latest");
    model.service = copied<double>(values, "service");
    model.load = copied<int>(values, "load");
    model.company = copied<int>(values, "company");
    model.dimensions = nb::cast<int>(values.attr("load").attr("shape")[nb::int_(1)]);
    model.max_ride = copied<double>(values, "max_ride");
    model.penalty = copied<double>(values, "penalty");
    model.assignment = copied<double>(values, "assignment");
    model.max_duration = copied<double>(values, "max_duration");
    model.fixed_cost = copied<double>(values, "fixed_cost");
    model.layouts = copied<int>(values, "layouts");
    model.layout_begin = copied<int>(values, "layout_begin");
    model.layout_change = static_cast<LayoutChange>(nb::cast<int>(values.attr("layout_change")));
    model.prefix = nb::cast<std::vector<Nodes>>(values.attr("prefix"));
    model.facts = copied<int>(values, "facts");
    model.nearness = copied<double>(values, "nearness");
    model.derive();
    return model;
}

// A route from Python: its vehicle's start and end, and stops between them, each at most once.
void verify(const Model& model, int vehicle, const Nodes& route) {
    if (vehicle < 0 || vehicle >= model.k) throw std::out_of_range("no such vehicle");
    const bool ends =
        route.size() >= 2 && route.front() == model.start(vehicle) && route.back() == model.start(vehicle) + 1;
    std::vector<char> seen(2 * model.n, 0);
    bool stops = ends;
    for (std::size_t index = 1; stops && index + 1 < route.size(); ++index) {
        const int node = route[index];
        stops = 0 <= node && node < 2 * model.n && !seen[node];
        if (stops) seen[node] = 1;
    }
    if (!stops) throw std::invalid_argument("not a route of this vehicle");
}

std::optional<std::vector<double>> earliest_times(const Model& model, int vehicle, const Nodes& route) {
    verify(model, vehicle, route);
    if (!loads_fit(model, vehicle, route)) return std::nullopt;
    Line line;
    line.read(model, vehicle, route);
    if (!line.settle(0, line.size())) return std::nullopt;
    return line.begin;
}

double cost(const Model& model, int vehicle, const Nodes& route) {
    verify(model, vehicle, route);
    return model.route_cost(vehicle, route);
}

std::optional<std::tuple<double, int, int>> insertion(const Model& model, int vehicle, const Nodes& route,
                                                      int request) {
    verify(model, vehicle, route);
    if (request < 0 || request >= model.n) throw std::out_of_range("no such request");
    Ahead ahead;
    ahead.read(model, vehicle, route);
    const Insertion found = Inserter(model).cheapest(ahead, route, request);
    if (found.cost == infinity) return std::nullopt;
    return std::make_tuple(found.cost, found.pickup_after, found.dropoff_after);
}

using Answer = std::tuple<std::vector<Nodes>, std::vector<int>, double, std::int64_t>;

Answer searched(const Model& model, double seconds, const std::string& clock, std::int64_t iterations,
                std::uint64_t seed, int threads, const std::vector<Nodes>& start) {
    if (!start.empty() && start.size() != static_cast<std::size_t>(model.k))
        throw std::invalid_argument("one route for each vehicle");
    for (std::size_t vehicle = 0; vehicle < start.size(); ++vehicle)
        verify(model, static_cast<int>(vehicle), start[vehicle]);
    Found found = search(model, seconds, clock == "cpu" ? Clock::cpu : Clock::wall, iterations, seed, threads, start);
    return {std::move(found.routes), std::move(found.unserved), found.cost, found.iterations};
}

}  // namespace
}  // namespace darp

NB_MODULE(_kernel, module) {
    using namespace darp;
    using Unlocked = nb::call_guard<nb::gil_scoped_release>;
    nb::class_<Model>(module, "Model")
        .def(
            "__init__", [](Model* self, nb::handle values) { new (self) Model(read(values)); }, nb::arg("values"))
        .def("earliest_times", &earliest_times, nb::arg("vehicle"), nb::arg("route"))
        .def("cost", &cost, nb::arg("vehicle"), nb::arg("route"))
        .def("insertion", &insertion, nb::arg("vehicle"), nb::arg("route"), nb::arg("request"))
        .def("search", &searched, nb::arg("seconds"), nb::arg("clock"), nb::arg("iterations"), nb::arg("seed"),
             nb::arg("threads"), nb::arg("start"), Unlocked());
}
