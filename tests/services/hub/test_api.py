"""The hub over HTTP, in a whole house: typed routes, the registry, quotas, explanations."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.hub.conftest import Sim
from tests.services.hub.serving import Served, served

GENEVA = {"latitude": 46.2044, "longitude": 6.1432}


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path, sim: Sim) -> Iterator[Served]:
    with served(sqlite_url, tmp_path, sim.url) as running:
        yield running


@pytest.fixture
def http(house: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.url, headers=house.headers, timeout=20) as client:
        yield client


def _ask(http: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_question_is_answered_with_where_the_answer_comes_from(http: httpx.Client) -> None:
    found = _ask(http, "/v1/hub/weather/current", **GENEVA)

    assert isinstance(found["data"]["temperature_c"], float)
    assert found["meta"]["attempts"][-1]["kind"] == "ok"
    assert found["meta"]["attribution"]
    assert found["meta"]["cache"] == "miss"
    assert found["request_id"]


def test_get_and_post_say_the_same_and_the_second_costs_nothing(http: httpx.Client, sim: Sim) -> None:
    first = _ask(http, "/v1/hub/finance/fx_convert", amount="12.50", **{"from": "CHF"}, to="EUR")
    second = http.post("/v1/hub/finance/fx_convert", json={"amount": "12.50", "from": "CHF", "to": "EUR"}).json()

    assert first["data"] == second["data"]
    assert isinstance(first["data"]["converted"], str)
    assert second["meta"]["cache"] == "hit"
    assert second["meta"]["attempts"] == []
    assert sum(sim.reached(name) for name in ("ecb", "frankfurter", "open_er_api")) == 1


def test_lists_may_be_written_with_commas(http: httpx.Client) -> None:
    found = _ask(http, "/v1/hub/finance/fx_rates", base="EUR", symbols="CHF,USD")

    assert set(found["data"]["rates"]) == {"CHF", "USD"}


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/v1/hub/weather/current", {"latitude": 91, "longitude": 0}, "query/latitude"),
        ("/v1/hub/weather/current", {"latitude": 1}, "query/longitude"),
        ("/v1/hub/weather/forecast", {**GENEVA, "days": 40}, "query/days"),
        ("/v1/hub/finance/fx_rates", {"base": "EURO"}, "query/base"),
        ("/v1/hub/finance/fx_convert", {"amount": "-1", "from": "EUR", "to": "CHF"}, "query/amount"),
        ("/v1/hub/weather/current", {**GENEVA, "colour": "red"}, "query/colour"),
    ],
)
def test_a_bad_parameter_is_refused_and_nothing_is_sent(
    http: httpx.Client, sim: Sim, path: str, query: dict[str, Any], pointer: str
) -> None:
    answer = http.get(path, params=query)

    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert sim.reached("open_meteo") == 0


def test_parameters_that_contradict_each_other_are_refused(http: httpx.Client) -> None:
    answer = http.get("/v1/hub/weather/current", params={**GENEVA, "only": "open_meteo", "ignore": "open_meteo"})

    assert answer.status_code == 422


def test_an_unknown_provider_is_refused(http: httpx.Client) -> None:
    assert http.get("/v1/hub/weather/current", params={**GENEVA, "provider": "nobody"}).status_code == 422


def test_one_provider_can_be_asked_for_by_name(http: httpx.Client) -> None:
    found = _ask(http, "/v1/hub/weather/current", **GENEVA, provider="met_norway")

    assert found["meta"]["provider"] == "met_norway"


def test_a_failing_provider_is_replaced(http: httpx.Client, sim: Sim) -> None:
    before = _ask(http, "/v1/hub/weather/current", **GENEVA)["meta"]["provider"]
    sim.fault(before, "500")
    after = _ask(http, "/v1/hub/weather/current", **GENEVA, cache="refresh")["meta"]

    assert after["provider"] != before
    assert [attempt["kind"] for attempt in after["attempts"]] == ["upstream_5xx", "upstream_5xx", "ok"]


def test_an_old_answer_stands_in_when_all_providers_fail(http: httpx.Client, sim: Sim) -> None:
    fresh = _ask(http, "/v1/hub/weather/current", **GENEVA)
    sim.fault("*", "500")
    stale = _ask(http, "/v1/hub/weather/current", **GENEVA, cache="refresh")

    assert stale["meta"]["stale"] is True
    assert stale["meta"]["as_of"][:22] == fresh["meta"]["as_of"][:22]
    assert stale["meta"]["warnings"]
    assert stale["data"] == fresh["data"]


def test_nothing_is_made_up_when_all_providers_fail(http: httpx.Client, sim: Sim) -> None:
    sim.fault("*", "500")
    answer = http.get("/v1/hub/weather/current", params=GENEVA)

    assert answer.status_code == 502
    assert len(answer.json()["attempts"]) >= 2


def test_a_hundred_equal_questions_are_one_call(http: httpx.Client, sim: Sim) -> None:
    sim.fault("*", "slow", ms=200)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: _ask(http, "/v1/hub/weather/current", **GENEVA), range(100)))

    assert len({json.dumps(each["data"]) for each in found}) == 1
    assert sum(sim.reached(name) for name in ("open_meteo", "met_norway", "weatherapi")) == 1


def test_the_upstreams_own_words_need_a_permission_and_are_there(http: httpx.Client) -> None:
    found = _ask(http, "/v1/hub/weather/current", **GENEVA, raw=True, provider="open_meteo")

    assert "temperature_2m" in found["raw"]


def test_operations_are_listed_with_their_shapes(http: httpx.Client) -> None:
    listed = {each["id"]: each for each in _ask(http, "/v1/hub/operations")["items"]}
    one = _ask(http, "/v1/hub/operations/weather.current")

    assert listed["weather.current"]["path"] == "/v1/hub/weather/current"
    assert listed["ai.chat"]["path"] == "/v1/chat/completions"
    assert one["question"]["properties"]["latitude"]["maximum"] == 90
    assert http.get(one["path"], params=one["example"]).status_code == 200


def test_an_unknown_operation_names_the_nearest(http: httpx.Client) -> None:
    answer = http.get("/v1/hub/operations/weather.curent")

    assert answer.status_code == 404
    assert "weather.current" in answer.json()["near"]


def test_providers_say_what_is_proved_and_what_is_missing(sqlite_url: str, tmp_path: Path, sim: Sim) -> None:
    with (
        served(sqlite_url, tmp_path, sim.url, {"OSSATURE_HUB_KEY_OPENAI": "", "OSSATURE_HUB_CONTACT": ""}) as house,
        httpx.Client(base_url=house.url, headers=house.headers) as http,
    ):
        listed = {each["id"]: each for each in _ask(http, "/v1/hub/providers")["items"]}

    assert {each["status"] for each in listed.values()} == {"contract-tested"}
    assert listed["openai"]["usable"] is False
    assert listed["openai"]["missing"] == ["OSSATURE_HUB_KEY_OPENAI"]
    assert listed["groq"]["usable"] is True
    assert "contact" in listed["nominatim"]["why_not"]
    assert "sim-groq" not in json.dumps(listed)


def test_quotas_are_counted_down(http: httpx.Client) -> None:
    _ask(http, "/v1/hub/weather/current", **GENEVA, provider="open_meteo")
    windows = _ask(http, "/v1/hub/quotas", provider="open_meteo")["items"]

    assert windows
    assert {each["used"] for each in windows} == {1}
    assert all(each["remaining"] == each["limit"] - 1 for each in windows)


def test_an_explanation_names_who_is_then_asked(http: httpx.Client, sim: Sim) -> None:
    question = {"operation": "weather.current", "query": GENEVA}
    explained = http.post("/v1/hub/route/explain", json=question).json()
    asked = _ask(http, "/v1/hub/weather/current", **GENEVA)

    assert explained["candidates"][0]["provider"] == asked["meta"]["provider"]
    assert explained["candidates"][0]["score"] is not None
    assert explained["cached"] is False
    assert sim.reached(asked["meta"]["provider"]) == 1


def test_an_explanation_of_a_bad_question_points_at_it(http: httpx.Client) -> None:
    answer = http.post("/v1/hub/route/explain", json={"operation": "weather.current", "query": {"latitude": 91}})

    assert answer.status_code == 422
    assert {"/query/latitude", "/query/longitude"} <= {error["pointer"] for error in answer.json()["errors"]}


def test_nobody_is_answered_without_a_key(house: Served) -> None:
    for path in ("/v1/hub/weather/current", "/v1/hub/providers", "/v1/models"):
        assert httpx.get(f"{house.url}{path}", params=GENEVA).status_code == 401


def test_a_cap_is_reached_exactly(http: httpx.Client, sim: Sim) -> None:
    sim.limit(nominatim=[])
    with ThreadPoolExecutor(10) as pool:
        statuses = list(
            pool.map(
                lambda n: (
                    http.get("/v1/hub/geo/forward", params={"q": f"Street {n}", "provider": "nominatim"}).status_code
                ),
                range(10),
            )
        )

    assert statuses.count(200) == sim.reached("nominatim")
    assert set(statuses) <= {200, 404, 429}


def test_a_provider_that_is_switched_off_is_not_asked_until_it_is_on_again(http: httpx.Client, sim: Sim) -> None:
    off = http.post("/v1/hub/providers/open_meteo/disable", json={"reason": "Their terms have changed."})
    refused = http.get("/v1/hub/weather/current", params={**GENEVA, "provider": "open_meteo"})
    explained = http.post("/v1/hub/route/explain", json={"operation": "weather.current", "query": GENEVA}).json()

    assert off.json()["status"] == "disabled"
    assert refused.status_code == 403
    reasons = {each["provider"]: each["refused"] for each in explained["candidates"]}
    assert reasons["open_meteo"] == "Their terms have changed."
    assert sim.reached("open_meteo") == 0

    assert http.post("/v1/hub/providers/open_meteo/enable").json()["status"] == "contract-tested"
    assert _ask(http, "/v1/hub/weather/current", **GENEVA, provider="open_meteo")["data"]


def test_a_model_provider_that_is_switched_off_is_not_asked(http: httpx.Client, sim: Sim) -> None:
    http.post("/v1/hub/providers/openai/disable", json={})
    question = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post("/v1/chat/completions", json=question)

    assert answer.status_code == 503
    assert "switched off" in answer.json()["error"]["candidates"][0]["reason"]
    assert sim.reached("openai") == 0
