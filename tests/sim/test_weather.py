"""The weather providers answer in their own words and agree on the weather."""

from datetime import datetime

import pytest

from tests.sim.caller import Caller

PARIS = "latitude=48.8566&longitude=2.3522"
FIELDS = "temperature_2m,relative_humidity_2m,wind_speed_10m,wind_direction_10m,pressure_msl,weather_code"


def test_open_meteo_gives_the_variables_asked_for_with_their_units(sim: Caller) -> None:
    answer = sim.get(f"/open_meteo/forecast?{PARIS}&current={FIELDS}&wind_speed_unit=ms&timezone=UTC").json()
    assert list(answer["current"]) == ["time", "interval", *FIELDS.split(",")]
    assert answer["current_units"]["wind_speed_10m"] == "m/s"
    assert answer["current"]["time"] == "2026-06-15T12:00"
    assert answer["utc_offset_seconds"] == 0
    assert "daily" not in answer


def test_open_meteo_times_are_local_and_carry_no_zone(sim: Caller) -> None:
    answer = sim.get(f"/open_meteo/forecast?{PARIS}&current=temperature_2m&timezone=auto").json()
    assert (answer["timezone"], answer["utc_offset_seconds"]) == ("Europe/Paris", 7200)
    assert answer["current"]["time"] == "2026-06-15T14:00"


def test_open_meteo_speaks_kilometres_per_hour_unless_told_otherwise(sim: Caller) -> None:
    in_kmh = sim.get(f"/open_meteo/forecast?{PARIS}&current=wind_speed_10m").json()["current"]["wind_speed_10m"]
    in_ms = sim.get(f"/open_meteo/forecast?{PARIS}&current=wind_speed_10m&wind_speed_unit=ms").json()
    assert in_kmh == pytest.approx(in_ms["current"]["wind_speed_10m"] * 3.6, abs=0.02)


def test_open_meteo_columns_of_days_and_hours_have_equal_length(sim: Caller) -> None:
    query = "daily=temperature_2m_max,temperature_2m_min,weather_code&hourly=temperature_2m&forecast_days=3"
    answer = sim.get(f"/open_meteo/forecast?{PARIS}&{query}").json()
    assert answer["daily"]["time"] == ["2026-06-15", "2026-06-16", "2026-06-17"]
    assert {len(column) for column in answer["daily"].values()} == {3}
    assert {len(column) for column in answer["hourly"].values()} == {72}
    assert all(
        low <= high
        for low, high in zip(answer["daily"]["temperature_2m_min"], answer["daily"]["temperature_2m_max"], strict=True)
    )


@pytest.mark.parametrize(
    "query",
    [
        "latitude=91&longitude=0&current=temperature_2m",
        "latitude=1&longitude=181&current=temperature_2m",
        "longitude=0&current=temperature_2m",
        f"{PARIS}&current=no_such_thing",
        f"{PARIS}&daily=weather_code&forecast_days=17",
        f"{PARIS}&current=temperature_2m&timezone=Nowhere/Land",
    ],
)
def test_open_meteo_refuses_bad_parameters_with_a_reason(sim: Caller, query: str) -> None:
    answer = sim.get(f"/open_meteo/forecast?{query}")
    assert answer.status == 400
    assert answer.json()["error"] is True
    assert answer.json()["reason"]


def test_met_norway_gives_a_series_whose_last_entries_have_no_next_hours(sim: Caller) -> None:
    answer = sim.get("/met_norway/locationforecast/2.0/compact?lat=48.8566&lon=2.3522")
    feature = answer.json()
    first, last = feature["properties"]["timeseries"][0], feature["properties"]["timeseries"][-1]
    assert feature["geometry"]["coordinates"][:2] == [2.3522, 48.8566]
    assert first["time"] == "2026-06-15T12:00:00Z"
    assert first["data"]["next_1_hours"]["summary"]["symbol_code"]
    assert list(last["data"]) == ["instant"]
    assert answer.headers["expires"] == "Mon, 15 Jun 2026 12:31:00 GMT"


def test_met_norway_answers_304_to_who_has_the_newest(sim: Caller) -> None:
    path = "/met_norway/locationforecast/2.0/compact?lat=48.8566&lon=2.3522"
    modified = sim.get(path).headers["last-modified"]
    again = sim.get(path, {"user-agent": "x me@example.org", "if-modified-since": modified})
    assert (again.status, again.body) == (304, b"")
    sim.post("/_sim/clock", {"advance_s": 3600})
    assert sim.get(path, {"user-agent": "x me@example.org", "if-modified-since": modified}).status == 200


@pytest.mark.parametrize("user_agent", ["", "python-requests/2.32", "Mozilla/5.0"])
def test_met_norway_refuses_who_names_no_contact(sim: Caller, user_agent: str) -> None:
    path = "/met_norway/locationforecast/2.0/compact?lat=1&lon=1"
    assert sim.get(path, {"user-agent": user_agent}).status == 403


def test_met_norway_refuses_more_than_four_decimals(sim: Caller) -> None:
    assert sim.get("/met_norway/locationforecast/2.0/compact?lat=48.85661&lon=2.3522").status == 403
    assert sim.get("/met_norway/locationforecast/2.0/compact?lat=nan&lon=2.3522").status == 400


def test_weatherapi_has_codes_of_its_own_and_local_times(sim: Caller) -> None:
    answer = sim.get("/weatherapi/current.json?key=sim-weatherapi&q=48.8566,2.3522").json()
    assert answer["current"]["condition"]["code"] >= 1000
    assert answer["location"]["localtime"] == "2026-06-15 14:00"
    assert answer["current"]["last_updated_epoch"] == datetime.fromisoformat("2026-06-15T12:00:00Z").timestamp()


def test_weatherapi_forecasts_the_days_asked_for(sim: Caller) -> None:
    answer = sim.get("/weatherapi/forecast.json?key=sim-weatherapi&q=Tokyo&days=3").json()
    assert [day["date"] for day in answer["forecast"]["forecastday"]] == ["2026-06-15", "2026-06-16", "2026-06-17"]
    assert len(answer["forecast"]["forecastday"][0]["hour"]) == 24


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("q=Paris", 401, 1002),
        ("key=wrong&q=Paris", 401, 2006),
        ("key=sim-opencage&q=Paris", 401, 2006),
        ("key=sim-weatherapi", 400, 1003),
        ("key=sim-weatherapi&q=Nowhereville", 400, 1006),
    ],
)
def test_weatherapi_refuses_with_its_own_codes(sim: Caller, query: str, status: int, code: int) -> None:
    answer = sim.get(f"/weatherapi/current.json?{query}")
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("place", ["48.8566 2.3522", "-33.8688 151.2093", "69.6492 18.9553", "-1.2921 36.8219"])
def test_all_providers_describe_the_same_weather_but_not_to_the_last_digit(sim: Caller, place: str) -> None:
    latitude, longitude = place.split()
    fields = "current=temperature_2m,wind_speed_10m,pressure_msl&wind_speed_unit=ms"
    meteo = sim.get(f"/open_meteo/forecast?latitude={latitude}&longitude={longitude}&{fields}").json()["current"]
    series = sim.get(f"/met_norway/locationforecast/2.0/compact?lat={latitude}&lon={longitude}").json()
    norway = series["properties"]["timeseries"][0]["data"]["instant"]["details"]
    third = sim.get(f"/weatherapi/current.json?key=sim-weatherapi&q={latitude},{longitude}").json()["current"]
    temperatures = (meteo["temperature_2m"], norway["air_temperature"], third["temp_c"])
    winds = (meteo["wind_speed_10m"], norway["wind_speed"], third["wind_kph"] / 3.6)
    pressures = (meteo["pressure_msl"], norway["air_pressure_at_sea_level"], third["pressure_mb"])
    assert 0 < max(temperatures) - min(temperatures) < 2
    assert max(winds) - min(winds) < 1
    assert max(pressures) - min(pressures) < 2
