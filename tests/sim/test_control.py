"""The control routes show and steer the simulator."""

import pytest

from tests.sim.caller import Caller


def test_requests_are_counted_per_provider_status_and_operation(sim: Caller) -> None:
    sim.get("/open_meteo_geocoding/search?name=Paris")
    sim.get("/open_meteo_geocoding/search")
    sim.get("/open_meteo_geocoding/nothing")
    counts = sim.get("/_sim/requests").json()
    assert counts["total"] == 3
    assert counts["providers"] == {
        "open_meteo_geocoding": {
            "reached": 3,
            "abandoned": 0,
            "by_status": {"200": 1, "400": 1, "404": 1},
            "by_operation": {"geo.forward": 2, "none": 1},
        }
    }


def test_recent_requests_come_newest_first_without_secrets(sim: Caller) -> None:
    sim.get("/weatherapi/current.json?key=sim-weatherapi&q=Paris")
    sim.get("/opencage/json?q=Paris&key=private-thing")
    headers = {"authorization": "Bearer sim-openai-7", "x-api-key": "hidden-thing", "traceparent": "00-1-2-01"}
    sim.post("/openai/chat/completions", {"model": "gpt-4o", "note": "sim-openai"}, headers)
    answer = sim.get("/_sim/requests")
    recent = answer.json()["recent"]
    assert [entry["provider"] for entry in recent] == ["openai", "opencage", "weatherapi"]
    assert recent[0]["headers"]["traceparent"] == "00-1-2-01"
    assert recent[0]["headers"]["authorization"] == "***"
    assert recent[2]["query"] == "key=***&q=Paris"
    assert recent[0]["operation"] == "ai.chat"
    for secret in (b"sim-openai", b"sim-weatherapi", b"private-thing", b"hidden-thing"):
        assert secret not in answer.body


def test_of_a_large_body_only_the_beginning_is_kept(sim: Caller) -> None:
    sim.chat("openai", "gpt-4o", "word " * 10_000)
    (entry,) = sim.get("/_sim/requests").json()["recent"]
    assert len(entry["body"]) == 8_192


def test_a_body_beyond_all_measure_is_refused(sim: Caller) -> None:
    assert sim.chat("openai", "gpt-4o", "x" * (33 * 1024 * 1024)).status == 413


def test_recent_requests_can_be_chosen(sim: Caller) -> None:
    for _ in range(3):
        sim.get("/photon/api/?q=Paris")
    sim.get("/open_er_api/latest/EUR")
    chosen = sim.get("/_sim/requests?provider=photon&limit=2").json()
    assert chosen["total"] == 3
    assert [entry["provider"] for entry in chosen["recent"]] == ["photon", "photon"]
    assert sim.get("/_sim/requests?provider=nobody").status == 422
    assert sim.get("/_sim/requests?limit=x").status == 422


def test_the_index_names_every_provider_with_paths_and_limits(sim: Caller) -> None:
    index = sim.get("/_sim").json()
    assert (index["seed"], index["clock"]) == (7, {"now": "2026-06-15T12:00:00Z", "mode": "step"})
    assert len(index["providers"]) == 17
    assert index["providers"]["nominatim"] == {
        "paths": ["GET /nominatim/search", "GET /nominatim/reverse"],
        "key": "none",
        "needs_contact": True,
        "limits": ["1/second by all"],
    }


def test_a_provider_that_is_not_simulated_is_a_404(sim: Caller) -> None:
    assert sim.get("/nobody/x").status == 404


@pytest.mark.parametrize("order", [{"nobody": []}, {"openai": ["x"]}, {"openai": "600/minute"}, []])
def test_bad_limits_change_nothing(sim: Caller, order: object) -> None:
    before = sim.get("/_sim/limits").json()
    assert sim.post("/_sim/limits", order).status == 422
    assert sim.get("/_sim/limits").json() == before


def test_the_clock_is_set_advanced_and_let_go(sim: Caller) -> None:
    assert sim.post("/_sim/clock", {"set": "2026-03-01T12:00:00+01:00"}).json()["now"] == "2026-03-01T11:00:00Z"
    assert sim.post("/_sim/clock", {"advance_s": 90}).json()["now"] == "2026-03-01T11:01:30Z"
    assert sim.post("/_sim/clock", {"real": True}).json()["mode"] == "real"
    sim.post("/_sim/reset")
    assert sim.get("/_sim/clock").json() == {"now": "2026-06-15T12:00:00Z", "mode": "step"}


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"set": "noon"},
        {"set": "2026-03-01T12:00:00"},
        {"advance_s": "1"},
        {"real": 1, "x": 2},
        {"advance_s": 1e20},
        {"advance_s": 1e12},
        {"set": "0001-01-01T00:00:00Z"},
    ],
)
def test_a_bad_order_to_the_clock_is_refused(sim: Caller, order: object) -> None:
    assert sim.post("/_sim/clock", order).status == 422


def test_reset_brings_back_the_start(sim: Caller) -> None:
    sim.order("500", "openai")
    sim.post("/_sim/limits", {"openai": ["1/day"]})
    sim.chat("openai", "gpt-4o")
    sim.post("/_sim/reset")
    assert sim.get("/_sim/requests").json() == {"total": 0, "providers": {}, "recent": []}
    assert sim.get("/_sim/limits").json()["openai"] == []
    assert sim.get("/_sim/faults").json() == {"items": []}


def test_faults_in_force_are_listed_with_the_strikes_they_have_left(sim: Caller) -> None:
    sim.order("500", "openai", count=3)
    sim.chat("openai", "gpt-4o")
    (fault,) = sim.get("/_sim/faults").json()["items"]
    assert (fault["fault"], fault["count"], fault["left"]) == ("500", 3, 2)


def test_wrong_paths_and_methods_get_the_upstreams_own_words(sim: Caller) -> None:
    assert sim.get("/openai/nothing").json()["error"]["type"] == "invalid_request_error"
    assert sim.post("/open_meteo/forecast").status == 405
    assert sim.get("/openai/chat/completions").status == 405
