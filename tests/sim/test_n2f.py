"""The simulated N2F: a token by a call of its own, pages, quotas by the hour of Paris, one record a write, a memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from ossature.sim.app import create
from ossature.sim.lab import KeptError
from ossature.sim.run import BAD_FILE, main, started
from tests.sim.caller import Answer, Caller

ADA = {"mail": "Ada@example.org", "firstname": "Ada", "lastname": "Byron", "company": "MTAwMQ==", "role": "User"}


class N2f:
    """A client of it."""

    def __init__(self, sim: Caller, client: str = "sim-n2f") -> None:
        self.sim = sim
        said = sim.post("/n2f/auth", {"client_id": client, "client_secret": "sim-secret"}).json()["response"]
        self.validity = said["validity"]
        self._headers = {"authorization": f"Bearer {said['token']}"}

    def get(self, path: str) -> Answer:
        return self.sim.get(f"/n2f{path}", self._headers)

    def post(self, path: str, value: Any) -> Answer:
        return self.sim.post(f"/n2f{path}", value, self._headers)

    def delete(self, path: str) -> Answer:
        return self.sim._ask("DELETE", f"/n2f{path}", None, self._headers)

    def users(self) -> list[dict[str, Any]]:
        return self.get("/users").json()["response"]["data"]


@pytest.fixture
def n2f(sim: Caller) -> N2f:
    return N2f(sim)


def test_a_token_has_an_end_with_seven_digits_and_nothing_goes_without_one(sim: Caller, n2f: N2f) -> None:
    assert n2f.validity == "2026-06-15T13:00:00.0000000Z"
    assert sim.get("/n2f/users", {}).status == 401
    assert sim.post("/n2f/auth", {"client_id": "sim-n2f", "client_secret": "x"}).status == 401
    sim.post("/_sim/clock", {"advance_s": 3600})
    assert n2f.get("/users").status == 401


def test_a_user_is_written_whole_by_mail_and_given_back_with_labels(n2f: N2f) -> None:
    assert n2f.post("/users", ADA).status == 201
    assert n2f.post("/users", {**ADA, "mail": "ada@EXAMPLE.org", "lastname": "King"}).status == 200

    assert n2f.users() == [{**ADA, "lastname": "King", "role": "Utilisateur"}]
    state = n2f.sim.get("/_sim/n2f/state").json()
    assert state["mails_sent"] == ["Ada@example.org"]
    assert (state["counts"]["writes_created"], state["counts"]["writes_changed"]) == (1, 1)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"shoe": "42"},
        {"mail": "ada"},
        {"company": "1001"},
        {"role": "King"},
        {"currencyIsoCode": "euro"},
        {"canRaiseLimits": "yes"},
        {"firstname": "x" * 256},
        {"authMode": "Saml"},
    ],
)
def test_what_is_no_user_is_refused_with_the_field(n2f: N2f, spoilt: dict[str, Any]) -> None:
    answer = n2f.post("/users", {**ADA, **spoilt})

    assert (answer.status, next(iter(spoilt)) in answer.json()["error"]["message"]) == (400, True)
    assert n2f.users() == []


def test_pages_have_two_hundred_rows_and_end_short(n2f: N2f) -> None:
    users = [{**ADA, "mail": f"p{number}@example.org"} for number in range(450)]
    assert n2f.sim.post("/_sim/n2f/records", {"users": users}).status == 204

    sizes = [len(n2f.get(f"/users?start={start}&limit=200").json()["response"]["data"]) for start in (0, 200, 400, 600)]

    assert sizes == [200, 200, 50, 0]
    assert n2f.get("/users?limit=201").status == 400


@pytest.mark.parametrize(("at", "most"), [("2026-06-15T10:00:00Z", 10), ("2026-06-15T18:00:00Z", 50)])
def test_writes_have_a_quota_by_the_hour_of_paris(sim: Caller, at: str, most: int) -> None:
    sim.post("/_sim/clock", {"set": at})
    n2f = N2f(sim)

    statuses = [n2f.post("/users", {**ADA, "mail": f"p{number}@example.org"}).status for number in range(most)]

    assert statuses == [201] * (most - 1) + [429]
    assert n2f.get("/users").status == 200
    sim.post("/_sim/clock", {"advance_s": 60})
    assert n2f.post("/users", ADA).status == 201


def test_an_axis_has_another_id_in_every_company_and_its_codes_may_hold_anything(n2f: N2f) -> None:
    first, second = (
        n2f.get(f"/companies/{company}%3D%3D/axes").json()["response"]["data"][0]["uuid"]
        for company in ("MTAwMQ", "MTAwMg")
    )
    value = {"code": "A/1 é%", "names": [{"culture": "fr", "value": "Car"}], "validityDateFrom": "2026-01-31T00:00:00Z"}

    assert first != second
    assert n2f.post(f"/companies/MTAwMQ%3D%3D/axes/{first}", value).status == 201
    assert n2f.post(f"/companies/MTAwMQ%3D%3D/axes/{second}", value).status == 404
    assert n2f.get(f"/companies/MTAwMQ%3D%3D/axes/{first}").json()["response"]["data"] == [value]
    assert n2f.delete(f"/companies/MTAwMQ%3D%3D/axes/{first}/A%2F1%20%C3%A9%25").status == 200
    assert n2f.delete(f"/companies/MTAwMQ%3D%3D/axes/{first}/A%2F1%20%C3%A9%25").status == 404


@pytest.mark.parametrize("date", ["31/01/2026", "2026-01-31", "2026-01-31T10:00:00Z"])
def test_a_date_is_a_midnight(n2f: N2f, date: str) -> None:
    value = {"code": "A", "names": [{"culture": "fr", "value": "Car"}], "validityDateFrom": date}
    assert n2f.post("/companies/MTAwMQ%3D%3D/axes/projects", value).status == 400


def test_knobs_are_turned_while_it_runs_and_unknown_ones_are_named(n2f: N2f) -> None:
    n2f.post("/users", ADA)
    assert n2f.sim.post("/_sim/n2f/knobs", {"mail_case": "lower", "label_language": "nl"}).status == 204
    assert (n2f.users()[0]["mail"], n2f.users()[0]["role"]) == ("ada@example.org", "Gebruiker")
    refused = n2f.sim.post("/_sim/n2f/knobs", {"mail_case": "upside down"})
    assert (refused.status, "one of kept, lower, title" in refused.json()["error"]) == (422, True)
    assert n2f.sim.get("/_sim/n2f/nothing").status == 404
    assert n2f.sim.get("/_sim/photon/state").status == 422


def test_what_it_remembers_can_outlive_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with started(create(kept_in=kept)) as url:
        N2f(Caller(url)).post("/users", ADA)

    with started(create(kept_in=kept)) as url:
        assert [user["mail"] for user in N2f(Caller(url)).users()] == ["Ada@example.org"]

    kept.write_text(json.dumps({"n2f": {"users": [{}]}}))
    with pytest.raises(KeptError, match="users with a mail"):
        create(kept_in=kept)


@pytest.mark.parametrize("knob", ["n2f.nothing=1", "n2f.echo=little", "photon.echo=all", "nonsense"])
def test_a_knob_that_is_none_is_exit_code_2(capsys: pytest.CaptureFixture[str], knob: str) -> None:
    assert main(["--knob", knob, "--port", "0"]) == BAD_FILE
    assert knob in capsys.readouterr().err
