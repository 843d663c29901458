"""Weather: questions and answers in SI-like units, with WMO codes."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from msgspec import Meta

from ossature.services.hub.domain.shapes import Latitude, Longitude

CONDITIONS = {
    0: "clear sky",
    1: "mainly clear",
    2: "partly cloudy",
    3: "overcast",
    45: "fog",
    48: "depositing rime fog",
    51: "light drizzle",
    53: "moderate drizzle",
    55: "dense drizzle",
    56: "light freezing drizzle",
    57: "dense freezing drizzle",
    61: "slight rain",
    63: "moderate rain",
    65: "heavy rain",
    66: "light freezing rain",
    67: "heavy freezing rain",
    68: "slight sleet",
    69: "heavy sleet",
    71: "slight snow",
    73: "moderate snow",
    75: "heavy snow",
    77: "snow grains",
    80: "slight rain showers",
    81: "moderate rain showers",
    82: "violent rain showers",
    83: "slight sleet showers",
    84: "heavy sleet showers",
    85: "slight snow showers",
    86: "heavy snow showers",
    95: "thunderstorm",
    96: "thunderstorm with slight hail",
    99: "thunderstorm with heavy hail",
}
"""What a code of WMO table 4677, as weather services use it, is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherCurrent:
    """The weather at a point, now."""

    latitude: Latitude
    longitude: Longitude


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What the weather is; null is what the source does not say. humidity in 0..1, direction where the wind comes from."""

    temperature_c: float | None
    feels_like_c: float | None
    humidity_fraction: float | None
    wind_ms: float | None
    wind_direction_deg: float | None
    pressure_hpa: float | None
    wmo_code: int | None
    condition: str | None
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherForecast:
    """The weather at a point over the coming days."""

    latitude: Latitude
    longitude: Longitude
    days: Annotated[int, Meta(ge=1, le=16, description="How many days, today included.", examples=[3])] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherDay:
    """One UTC day of a forecast."""

    date: date
    min_c: float | None
    max_c: float | None
    precipitation_mm: float | None
    wind_max_ms: float | None
    wmo_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherHour:
    """One hour of a forecast; `at` is its beginning."""

    at: datetime
    temperature_c: float | None
    precipitation_mm: float | None
    wind_ms: float | None
    wmo_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The coming days, and their hours as far as the source gives them."""

    days: list[WeatherDay]
    hours: list[WeatherHour]


def condition(wmo_code: int | None) -> str | None:
    """What a WMO code is called, or None."""
    return None if wmo_code is None else CONDITIONS.get(wmo_code)
