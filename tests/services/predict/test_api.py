"""Predict over HTTP."""

import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from ossature.services.predict.domain.grid import score_grid
from ossature.services.predict.domain.markets import all_markets
from ossature.services.predict.domain.matches import MARKETS
from ossature.services.predict.usecases.freezing import freeze_due
from ossature.services.predict.usecases.scoring import score_due
from tests.services.predict.conftest import START, WEEK, Predict, parquet


def _found(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


async def _send(http: httpx.AsyncClient, rows: list[dict[str, Any]]) -> httpx.Response:
    return await _send_bytes(http, parquet(rows))


async def _send_bytes(http: httpx.AsyncClient, content: bytes) -> httpx.Response:
    kind = {"content-type": "application/octet-stream"}
    return await http.post("/v1/predict/imports?name=league.parquet", content=content, headers=kind)


@pytest.fixture
async def week(predict: Predict, http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The matches of a predicted week, soonest first."""
    await predict.predicted()
    return list(_found(await http.get("/v1/predict/matches?status=scheduled&sort=kickoff"))["items"])


async def test_a_file_is_imported_and_its_matches_are_predicted(predict: Predict, http: httpx.AsyncClient) -> None:
    worker = predict.home.house.worker()

    first = _found(await _send(http, [*predict.before(START), *predict.fixtures(*WEEK)]))
    again = _found(await _send(http, predict.fixtures(*WEEK)))
    predict.at.advance(1)
    await worker.run_due()

    assert (first["results"], first["new_matches"]) == (len(predict.before(START)), len(predict.before(START)) + 6)
    assert (again["new_matches"], again["quotes"]) == (0, 0)
    matches = _found(await http.get("/v1/predict/matches?status=scheduled&sort=kickoff"))["items"]
    assert len(matches) == 6
    for match in matches:
        assert sum(match["outcome"].values()) == pytest.approx(1, abs=1e-8)
        assert (match["source_state"], match["frozen"], match["scores"]) == ("simulated", False, [])


async def test_a_file_with_a_fault_is_refused_by_row_and_column(predict: Predict, http: httpx.AsyncClient) -> None:
    rows = [dict(row) for row in predict.fixtures(*WEEK)]
    rows[2]["away"] = rows[2]["home"]

    refused = await _send(http, rows)
    garbage = await _send_bytes(http, b"PAR1")
    of_another_kind = await http.post("/v1/predict/imports", json={"rows": []}, params={"name": "x"})

    assert (refused.status_code, refused.json()["row"], refused.json()["column"]) == (422, 3, "away")
    assert (garbage.status_code, of_another_kind.status_code) == (422, 422)
    assert _found(await http.get("/v1/predict/matches"))["items"] == []


async def test_matches_are_filtered_sorted_and_paged(http: httpx.AsyncClient, week: list[dict[str, Any]]) -> None:
    second = _found(await http.get("/v1/predict/matches?competition=S01&limit=2&sort=-kickoff"))

    assert [one["competition"] for one in second["items"]] == ["S01", "S01"]
    assert [one["kickoff_at"] for one in second["items"]] == ["2022-10-04T14:00:00Z"] * 2
    following = _found(
        await http.get(
            "/v1/predict/matches",
            params={"competition": "S01", "limit": 2, "sort": "-kickoff", "cursor": second["next"]},
        )
    )
    assert following["items"][0]["id"] not in {one["id"] for one in second["items"]}
    since = _found(await http.get("/v1/predict/matches?kickoff__gte=2022-10-04T00:00:00Z"))["items"]
    assert {one["id"] for one in since} < {one["id"] for one in week}
    assert (await http.get("/v1/predict/matches?sort=luck")).status_code == 422
    assert _found(await http.get("/v1/predict/competitions"))["items"][0]["code"] == "S00"


async def test_every_market_of_a_forecast_comes_from_its_one_grid(
    http: httpx.AsyncClient, week: list[dict[str, Any]]
) -> None:
    path = f"/v1/predict/matches/{week[0]['id']}/forecast"

    plain = _found(await http.get(path))
    full = _found(await http.get(path, params={"markets": "all", "grid": "true"}))

    assert (plain["markets"], plain["grid"], plain["outcome"]) == ({}, None, week[0]["outcome"])
    assert set(full["markets"]) == set(MARKETS)
    assert sum(map(sum, full["grid"])) == pytest.approx(1, abs=1e-9)
    home = sum(chance for a, row in enumerate(full["grid"]) for b, chance in enumerate(row) if a > b)
    assert home == pytest.approx(full["markets"]["1x2"][0]["win"], abs=1e-12)
    assert home == pytest.approx(full["outcome"]["home"], abs=1e-6)
    assert full["market"]["phase"] == "early"
    assert full["confidence"]["bin"] is None
    assert set(_found(await http.get(path, params={"markets": "btts,total"}))["markets"]) == {"btts", "total"}


def test_the_names_of_markets_are_those_of_the_grid() -> None:
    assert set(MARKETS) == {one.market for one in all_markets(score_grid(1.4, 1.1, -0.05))}


async def test_an_unknown_market_is_refused_with_the_names_that_there_are(
    http: httpx.AsyncClient, week: list[dict[str, Any]]
) -> None:
    refused = await http.get(f"/v1/predict/matches/{week[0]['id']}/forecast?markets=corners")

    assert refused.status_code == 422
    assert "asian_handicap" in refused.json()["detail"]


async def test_a_proof_can_be_checked_with_nothing_but_a_hash_function(
    http: httpx.AsyncClient, week: list[dict[str, Any]]
) -> None:
    rows = []
    for match in week:
        (said,) = _found(await http.get(f"/v1/predict/matches/{match['id']}/predictions"))["items"]
        assert _found(await http.get(f"/v1/predict/predictions/{said['id']}")) == said
        rows.append(_found(await http.get(f"/v1/predict/predictions/{said['id']}/proof")))

    previous = "0" * 64
    for proof in sorted(rows, key=lambda one: one["seq"]):
        row = json.loads(proof["row"])
        assert hashlib.sha256(proof["row"].encode()).hexdigest() == proof["hash"]
        assert (row["prev_hash"], proof["previous"], row["seq"]) == (previous, previous, proof["seq"])
        previous = proof["hash"]


async def test_before_anything_was_learnt_there_is_no_forecast(predict: Predict, http: httpx.AsyncClient) -> None:
    _found(await _send(http, predict.fixtures(*WEEK)))
    (match, *_) = _found(await http.get("/v1/predict/matches"))["items"]

    refused = await http.get(f"/v1/predict/matches/{match['id']}/forecast")

    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (503, "no-champion")
    assert match["outcome"] is None


async def test_a_match_beyond_the_horizon_is_not_predicted_yet(
    predict: Predict, http: httpx.AsyncClient, week: list[dict[str, Any]]
) -> None:
    del week
    _found(await _send(http, predict.fixtures(START + timedelta(days=8), START + timedelta(days=14))))
    (match, *_) = _found(await http.get("/v1/predict/matches?sort=-kickoff"))["items"]

    refused = await http.get(f"/v1/predict/matches/{match['id']}/forecast")

    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (409, "forecast-not-ready")


async def test_what_is_over_shows_what_it_was_worth(
    predict: Predict, http: httpx.AsyncClient, week: list[dict[str, Any]]
) -> None:
    predict.at.advance(5 * 86_400)
    async with predict.ctx() as ctx:
        await freeze_due(ctx)
    await predict.take(predict.played(*WEEK))
    async with predict.ctx() as ctx:
        await score_due(ctx)

    match = _found(await http.get(f"/v1/predict/matches/{week[0]['id']}"))
    forecast = _found(await http.get(f"/v1/predict/matches/{week[0]['id']}/forecast"))
    summary = _found(await http.get("/v1/predict/evaluation/summary"))
    reliability = _found(await http.get("/v1/predict/evaluation/reliability"))
    later = _found(await http.get("/v1/predict/evaluation/summary", params={"from": "2023-01-01T00:00:00Z"}))

    assert (match["status"], match["frozen"], len(match["scores"])) == ("finished", True, 1)
    assert (forecast["frozen"], forecast["market"]["phase"]) == (True, "closing")
    assert forecast["confidence"]["bin"]["n"] >= 1
    assert summary["summary"]["n"] == summary["market_gap"]["n"] == 6
    assert sum(one["n"] for one in reliability["bins"]) == 18
    assert (later["summary"], later["market_gap"]) == (None, None)
    odds = _found(await http.get(f"/v1/predict/matches/{week[0]['id']}/odds"))["items"]
    assert {one["phase"] for one in odds} == {"early", "closing"}


async def test_models_and_rounds_by_hand(predict: Predict, http: httpx.AsyncClient, week: list[dict[str, Any]]) -> None:
    del week
    (model,) = _found(await http.get("/v1/predict/models"))["items"]
    one = _found(await http.get(f"/v1/predict/models/{model['id']}"))

    priced = await http.post("/v1/predict/scheduler/price")
    frozen = await http.post("/v1/predict/scheduler/freeze")

    assert (one["stage"], one["name"], one["trained_until"]) == ("champion", "past-odds", "2022-09-27")
    assert (priced.status_code, frozen.status_code) == (202, 202)
    worker = predict.home.house.worker()
    await worker.run_due()
    done = _found(await http.get(f"/v1/jobs/{priced.json()['job_id']}"))
    assert done["state"] == "succeeded", done
