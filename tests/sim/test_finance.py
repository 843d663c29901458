"""The exchange-rate providers answer in their own words and agree on the rates."""

import re
from itertools import pairwise

import pytest

from tests.sim.caller import Caller


def test_frankfurter_quotes_the_symbols_asked_for_without_the_base(sim: Caller) -> None:
    answer = sim.get("/frankfurter/v1/latest?base=USD&symbols=EUR,GBP,USD").json()
    assert (answer["amount"], answer["base"]) == (1.0, "USD")
    assert sorted(answer["rates"]) == ["EUR", "GBP"]


def test_reference_rates_appear_on_working_days_in_the_afternoon(sim: Caller) -> None:
    assert sim.get("/frankfurter/v1/latest").json()["date"] == "2026-06-12"
    sim.post("/_sim/clock", {"set": "2026-06-15T14:30:00Z"})
    assert sim.get("/frankfurter/v1/latest").json()["date"] == "2026-06-15"
    assert b"time='2026-06-15'" in sim.get("/ecb/stats/eurofxref/eurofxref-daily.xml").body


def test_frankfurter_gives_the_working_day_before_for_a_sunday_and_series_without_week_ends(sim: Caller) -> None:
    assert sim.get("/frankfurter/v1/2026-06-07").json()["date"] == "2026-06-05"
    series = sim.get("/frankfurter/v1/2026-06-04..2026-06-09?symbols=USD").json()
    assert list(series["rates"]) == ["2026-06-04", "2026-06-05", "2026-06-08", "2026-06-09"]


def test_frankfurter_gives_rows_in_its_second_version(sim: Caller) -> None:
    rows = sim.get("/frankfurter/v2/rates?base=CHF&quotes=EUR,USD").json()
    assert [(row["base"], row["quote"]) for row in rows] == [("CHF", "EUR"), ("CHF", "USD")]


@pytest.mark.parametrize("path", ["/v1/latest?base=EURO", "/v1/latest?symbols=ZZZ", "/v1/1998-01-01", "/v1/yesterday"])
def test_frankfurter_does_not_find_what_is_not_there(sim: Caller, path: str) -> None:
    answer = sim.get("/frankfurter" + path)
    assert (answer.status, answer.json()) == (404, {"message": "not found"})


def test_open_er_api_names_the_base_and_lists_it_too(sim: Caller) -> None:
    answer = sim.get("/open_er_api/latest/CHF").json()
    assert (answer["result"], answer["base_code"], answer["rates"]["CHF"]) == ("success", "CHF", 1)
    assert len(answer["rates"]) > 50


def test_open_er_api_refuses_an_unknown_code(sim: Caller) -> None:
    answer = sim.get("/open_er_api/latest/ZZZ")
    assert (answer.status, answer.json()) == (404, {"result": "error", "error-type": "unsupported-code"})


def test_currency_api_speaks_lower_case_and_knows_no_upper_case_file(sim: Caller) -> None:
    answer = sim.get("/currency_api/currencies/usd.json").json()
    assert (answer["date"], answer["usd"]["usd"]) == ("2026-06-15", 1)
    missing = sim.get("/currency_api/currencies/USD.json")
    assert missing.status == 404
    assert missing.headers["content-type"].startswith("text/html")


def _ecb(sim: Caller) -> dict[str, float]:
    found = re.findall(
        rb"currency='([A-Z]{3})' rate='([\d.]+)'", sim.get("/ecb/stats/eurofxref/eurofxref-daily.xml").body
    )
    return {code.decode(): float(rate) for code, rate in found}


def test_ecb_is_an_xml_file_of_thirty_rates_against_the_euro(sim: Caller) -> None:
    rates = _ecb(sim)
    assert len(rates) == 30
    assert "EUR" not in rates
    assert sim.get("/ecb/stats/eurofxref/eurofxref-daily.xml").headers["content-type"].startswith("text/xml")


def test_frankfurter_repeats_the_bank_and_the_others_stay_within_two_per_mille(sim: Caller) -> None:
    # All four describe the same day only once the bank has published.
    sim.post("/_sim/clock", {"set": "2026-06-15T15:00:00Z"})
    bank = _ecb(sim)
    assert sim.get("/frankfurter/v1/latest").json()["rates"] == bank
    open_er = sim.get("/open_er_api/latest/EUR").json()["rates"]
    static = sim.get("/currency_api/currencies/eur.json").json()["eur"]
    for code, rate in bank.items():
        assert open_er[code] == pytest.approx(rate, rel=0.002)
        assert static[code.lower()] == pytest.approx(rate, rel=0.002)


def test_rates_move_from_day_to_day_but_slowly(sim: Caller) -> None:
    days = sim.get("/frankfurter/v1/2026-05-01..2026-06-12?symbols=USD").json()["rates"]
    rates = [day["USD"] for day in days.values()]
    assert len(set(rates)) > 10
    assert all(abs(one - other) / one < 0.01 for one, other in pairwise(rates))
