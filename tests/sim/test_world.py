"""The same seed is the same world; another seed is another one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ossature.sim.world import cities
from ossature.sim.world.rates import working_day
from ossature.sim.world.world import make_world

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def test_the_same_seed_gives_the_same_weather_rates_and_leanings() -> None:
    one, other = make_world(3), make_world(3)
    assert one.sky.at(48.85, 2.35, NOON) == other.sky.at(48.85, 2.35, NOON)
    assert one.rates.per_euro("USD", NOON.date()) == other.rates.per_euro("USD", NOON.date())
    assert one.lean("x", "y", by=1.0) == other.lean("x", "y", by=1.0)


def test_another_seed_gives_another_world() -> None:
    one, other = make_world(3), make_world(4)
    assert one.sky.at(48.85, 2.35, NOON) != other.sky.at(48.85, 2.35, NOON)
    assert one.rates.per_euro("USD", NOON.date()) != other.rates.per_euro("USD", NOON.date())


@pytest.mark.parametrize("city", cities.CITIES, ids=lambda city: city.name)
def test_weather_is_plausible_everywhere_in_every_season(city: cities.City) -> None:
    sky = make_world(1).sky
    for days in range(0, 365, 30):
        weather = sky.at(city.latitude, city.longitude, NOON + timedelta(days=days))
        assert -45 < weather.temperature_c < 48
        assert 0.2 <= weather.humidity_fraction < 1
        assert weather.dew_point_c <= weather.temperature_c
        assert 0 < weather.wind_ms < 25
        assert 0 <= weather.wind_direction_deg < 360
        assert 990 < weather.pressure_hpa < 1040


def test_weather_changes_little_within_a_kilometre_and_a_minute() -> None:
    sky = make_world(1).sky
    here = sky.at(48.85, 2.35, NOON)
    there = sky.at(48.86, 2.36, NOON + timedelta(minutes=1))
    assert abs(here.temperature_c - there.temperature_c) < 0.2
    assert abs(here.wind_ms - there.wind_ms) < 0.1


def test_cities_are_found_by_other_names_beginnings_and_inside_sentences() -> None:
    assert cities.search("münchen")[0].name == "Munich"
    assert cities.search("Geneve")[0].name == "Geneva"
    assert cities.search("Stock")[0].name == "Stockholm"
    assert cities.search("What is the weather in New York?")[0].name == "New York"
    assert cities.search("   ") == cities.search("Nowhereville") == []


def test_the_nearest_city_is_known_on_both_sides_of_the_date_line_and_none_at_sea() -> None:
    nearest = cities.nearest(-36.9, 174.8)
    assert nearest is not None
    assert nearest.name == "Auckland"
    assert cities.nearest(-40, -130) is None


def test_city_names_are_unique_and_zones_exist() -> None:
    names = [city.name for city in cities.CITIES]
    assert len(set(names)) == len(names) >= 60
    assert all(NOON.astimezone(ZoneInfo(city.zone)) for city in cities.CITIES)


def test_a_week_end_counts_as_its_friday() -> None:
    friday = datetime(2026, 6, 12, tzinfo=UTC).date()
    assert [working_day(friday + timedelta(days=days)) for days in range(3)] == [friday] * 3
    assert working_day(friday + timedelta(days=3)) == friday + timedelta(days=3)
