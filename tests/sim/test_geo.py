"""The geocoders answer in their own words and agree on where things are."""

import pytest

from tests.sim.caller import Caller


def _pace(sim: Caller) -> None:
    sim.post("/_sim/clock", {"advance_s": 1})


def test_nominatim_gives_coordinates_as_texts(sim: Caller) -> None:
    place = sim.get("/nominatim/search?q=Paris&format=jsonv2&limit=1&addressdetails=1").json()[0]
    assert isinstance(place["lat"], str)
    assert float(place["lat"]) == pytest.approx(48.8566, abs=0.01)
    assert place["address"]["country_code"] == "fr"
    _pace(sim)
    assert sim.get("/nominatim/search?q=Nowhereville&format=jsonv2").json() == []


def test_nominatim_reverse_gives_an_object_and_an_error_in_the_open_sea(sim: Caller) -> None:
    assert sim.get("/nominatim/reverse?lat=48.85&lon=2.35&format=jsonv2").json()["name"] == "Paris"
    _pace(sim)
    assert sim.get("/nominatim/reverse?lat=-40&lon=-130&format=jsonv2").json() == {"error": "Unable to geocode"}


def test_nominatim_blocks_who_names_no_contact_with_a_page(sim: Caller) -> None:
    answer = sim.get("/nominatim/search?q=Paris", {"user-agent": "Python/3.11 aiohttp/3.12"})
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/html")


def test_nominatim_takes_one_request_a_second_from_everybody_together(sim: Caller) -> None:
    first = {"user-agent": "one one@example.org"}
    second = {"user-agent": "two two@example.org"}
    assert sim.get("/nominatim/search?q=Paris", first).status == 200
    full = sim.get("/nominatim/search?q=Lyon", second)
    assert full.status == 429
    assert b"<html>" in full.body
    assert full.headers["retry-after"] == "1"
    _pace(sim)
    assert sim.get("/nominatim/search?q=Lyon", second).status == 200


def test_nominatim_refuses_a_question_without_words(sim: Caller) -> None:
    assert sim.get("/nominatim/search?format=jsonv2").status == 400


def test_photon_puts_longitude_first_and_the_extent_west_north_east_south(sim: Caller) -> None:
    feature = sim.get("/photon/api/?q=Lyon&limit=1").json()["features"][0]
    longitude, latitude = feature["geometry"]["coordinates"]
    west, north, east, south = feature["properties"]["extent"]
    assert (longitude, latitude) == (pytest.approx(4.8357, abs=0.01), pytest.approx(45.764, abs=0.01))
    assert west < longitude < east
    assert south < latitude < north


def test_photon_addresses_have_no_name(sim: Caller) -> None:
    properties = sim.get("/photon/api/?q=12%20rue%20de%20Rivoli,%20Paris").json()["features"][0]["properties"]
    assert "name" not in properties
    assert (properties["housenumber"], properties["street"]) == ("12", "rue de Rivoli")
    assert "name" not in sim.get("/photon/reverse?lat=48.85&lon=2.35").json()["features"][0]["properties"]


@pytest.mark.parametrize("path", ["/api/", "/api/?q=Paris&lang=xx", "/reverse?lat=1"])
def test_photon_refuses_with_a_message(sim: Caller, path: str) -> None:
    answer = sim.get("/photon" + path)
    assert answer.status == 400
    assert answer.json()["message"]


def test_open_meteo_geocoding_leaves_the_results_out_when_there_are_none(sim: Caller) -> None:
    assert sim.get("/open_meteo_geocoding/search?name=Genf").json()["results"][0]["name"] == "Geneva"
    assert "results" not in sim.get("/open_meteo_geocoding/search?name=Nowhereville").json()
    assert sim.get("/open_meteo_geocoding/search").status == 400


def test_opencage_says_what_is_left_of_the_day(sim: Caller) -> None:
    answer = sim.get("/opencage/json?q=Berlin&key=sim-opencage").json()
    assert answer["results"][0]["components"]["country_code"] == "de"
    assert (answer["rate"]["limit"], answer["rate"]["remaining"]) == (2500, 2499)


def test_opencage_finds_places_by_coordinates(sim: Caller) -> None:
    answer = sim.get("/opencage/json?q=52.52%2C13.405&key=sim-opencage").json()
    assert answer["results"][0]["components"]["city"] == "Berlin"


def test_opencage_answers_402_with_the_reset_when_the_day_is_used_up(sim: Caller) -> None:
    sim.post("/_sim/limits", {"opencage": ["2/day"]})
    statuses = [sim.get("/opencage/json?q=Berlin&key=sim-opencage").status for _ in range(3)]
    full = sim.get("/opencage/json?q=Berlin&key=sim-opencage").json()
    assert statuses == [200, 200, 402]
    assert full["rate"] == {"limit": 2, "remaining": 0, "reset": 1781568000}  # 2026-06-16T00:00:00Z


@pytest.mark.parametrize(
    ("query", "status"), [("q=Paris", 401), ("q=Paris&key=mine", 401), ("q=&key=sim-opencage", 400)]
)
def test_opencage_refuses_inside_its_envelope(sim: Caller, query: str, status: int) -> None:
    answer = sim.get(f"/opencage/json?{query}")
    assert (answer.status, answer.json()["status"]["code"]) == (status, status)


@pytest.mark.parametrize("city", ["Paris", "Tokyo", "Cape Town", "München", "Sao Paulo"])
def test_all_geocoders_agree_within_a_kilometre(sim: Caller, city: str) -> None:
    name = city.replace(" ", "%20").replace("ü", "%C3%BC")
    osm = sim.get(f"/nominatim/search?q={name}").json()[0]
    point = sim.get(f"/photon/api/?q={name}").json()["features"][0]["geometry"]["coordinates"]
    meteo = sim.get(f"/open_meteo_geocoding/search?name={name}").json()["results"][0]
    cage = sim.get(f"/opencage/json?q={name}&key=sim-opencage").json()["results"][0]["geometry"]
    latitudes = (float(osm["lat"]), point[1], meteo["latitude"], cage["lat"])
    longitudes = (float(osm["lon"]), point[0], meteo["longitude"], cage["lng"])
    assert 0 < max(latitudes) - min(latitudes) < 0.01
    assert 0 < max(longitudes) - min(longitudes) < 0.01
