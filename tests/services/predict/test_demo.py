"""The demo: a simulated league, predicted and scored, around today."""

from datetime import UTC, datetime

import httpx
import pytest

from ossature.services.predict.usecases.demo import fill_demo
from ossature.services.predict.usecases.freezing import verify_chain
from tests.services.predict.conftest import Predict


@pytest.mark.parametrize("hour", [11, 23])
async def test_the_demo_shows_scored_rounds_and_predicts_the_next_one(
    predict: Predict, http: httpx.AsyncClient, hour: int
) -> None:
    predict.move_to(datetime(2022, 9, 30, hour, tzinfo=UTC))
    async with predict.ctx() as ctx:
        await fill_demo(ctx)

    matches = (await http.get("/v1/predict/matches?limit=200&sort=-kickoff")).json()["items"]
    scored = [one for one in matches if one["scores"]]
    to_come = [one for one in matches if one["status"] == "scheduled" and one["outcome"]]
    assert (len(scored), len(to_come)) == (32, 8)
    assert {one["source_state"] for one in matches} == {"simulated"}
    assert {one["day"] for one in to_come} == {"2022-10-01", "2022-10-02"}
    for one in scored:
        assert one["frozen"]
    summary = (await http.get("/v1/predict/evaluation/summary")).json()
    assert (summary["summary"]["n"], summary["missed"]) == (32, 0)

    predict.at.advance(3 * 86_400)
    async with predict.ctx() as ctx:
        await fill_demo(ctx)
        verdict = await verify_chain(ctx)

    after = (await http.get("/v1/predict/matches?limit=200&sort=-kickoff")).json()["items"]
    assert len([one for one in after if one["scores"]]) == 40
    assert {one["id"] for one in matches} <= {one["id"] for one in after}
    assert (verdict.intact, verdict.checked) == (True, 48)
