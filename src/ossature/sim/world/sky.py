"""Weather at any place and moment, smooth in space and time, so that providers with slightly other coordinates agree."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import cos, exp, log, pi, radians, sin
from random import Random
from typing import NamedTuple

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_WAVES = 4
_SUNRISE_H, _SUNSET_H = 6.0, 18.0
_SNOW_C = 0.5
_STORM_MM, _STORM_C = 2.3, 18.0
_RAIN_STEPS_MM = (0.8, 1.8)  # light, moderate, heavy
_CLOUD_STEPS = (0.15, 0.35, 0.6)  # clear 0, mainly clear 1, partly cloudy 2, overcast 3


class _Wave(NamedTuple):
    per_degree_north: float
    per_degree_east: float
    per_hour: float
    phase: float


@dataclass(frozen=True, slots=True)
class Weather:
    """The state of the air at one place and moment; `wmo_code` is the present weather (WMO table 4677 subset)."""

    temperature_c: float
    feels_like_c: float
    dew_point_c: float
    humidity_fraction: float
    cloud_fraction: float
    pressure_hpa: float
    wind_ms: float
    gust_ms: float
    wind_direction_deg: float
    precipitation_mm_per_h: float
    wmo_code: int
    is_day: bool


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day at one place."""

    on: date
    min_c: float
    max_c: float
    precipitation_mm: float
    wind_max_ms: float
    gust_max_ms: float
    wind_direction_deg: float
    wmo_code: int


class Sky:
    """The weather of one seed."""

    def __init__(self, seed: int) -> None:
        dice = Random(f"sky:{seed}")  # noqa: S311 - a reproducible world, not a secret
        self._fields = {
            name: tuple(
                _Wave(
                    dice.uniform(-0.35, 0.35),
                    dice.uniform(-0.3, 0.3),
                    dice.uniform(0.01, 0.09),
                    dice.uniform(0, 2 * pi),
                )
                for _ in range(_WAVES)
            )
            for name in ("warmth", "cloud", "wind", "direction", "pressure")
        }

    def _field(self, name: str, *, latitude: float, longitude: float, hours: float) -> float:
        """Return a smooth value in -1..1."""
        waves = self._fields[name]
        total = sum(
            sin(
                wave.per_degree_north * latitude + wave.per_degree_east * longitude + wave.per_hour * hours + wave.phase
            )
            for wave in waves
        )
        return total / len(waves)

    def at(self, latitude: float, longitude: float, moment: datetime) -> Weather:
        """Return the weather at that place (degrees) and moment (aware)."""
        hours = (moment - _EPOCH).total_seconds() / 3600.0
        here = {name: self._field(name, latitude=latitude, longitude=longitude, hours=hours) for name in self._fields}
        solar_hour = (moment.astimezone(UTC).hour + moment.minute / 60.0 + longitude / 15.0) % 24.0
        season = cos(2 * pi * (moment.timetuple().tm_yday - 200) / 365.25) * (1.0 if latitude >= 0 else -1.0)
        climate_c = 28.0 - 0.0075 * latitude * latitude + 0.19 * abs(latitude) * season
        cloud = min(1.0, max(0.0, 0.45 + 0.8 * here["cloud"]))
        swing_c = (4.5 - 2.5 * cloud) * cos(2 * pi * (solar_hour - 15.0) / 24.0)
        temperature_c = climate_c + swing_c + 5.0 * here["warmth"]
        humidity = min(0.99, max(0.2, 0.5 + 0.35 * cloud - 0.02 * swing_c))
        wind_ms = max(0.3, 4.5 + 5.0 * here["wind"])
        rain_mm = max(0.0, cloud - 0.7) * 9.0
        return Weather(
            temperature_c=temperature_c,
            feels_like_c=_feels_like_c(temperature_c, humidity=humidity, wind_ms=wind_ms),
            dew_point_c=_dew_point_c(temperature_c, humidity),
            humidity_fraction=humidity,
            cloud_fraction=cloud,
            pressure_hpa=1013.0 + 18.0 * here["pressure"],
            wind_ms=wind_ms,
            gust_ms=wind_ms * 1.6,
            wind_direction_deg=(180.0 + 170.0 * here["direction"]) % 360.0,
            precipitation_mm_per_h=rain_mm,
            wmo_code=_wmo_code(cloud, rain_mm=rain_mm, temperature_c=temperature_c),
            is_day=_SUNRISE_H <= solar_hour < _SUNSET_H + season,
        )

    def day(self, latitude: float, longitude: float, midnight: datetime) -> Day:
        """Return the 24 hours that begin at that moment (aware; local midnight in UTC)."""
        hours = [self.at(latitude, longitude, midnight + timedelta(hours=hour)) for hour in range(0, 24, 3)]
        noon = hours[4]
        return Day(
            on=midnight.date(),
            min_c=min(hour.temperature_c for hour in hours),
            max_c=max(hour.temperature_c for hour in hours),
            precipitation_mm=sum(3.0 * hour.precipitation_mm_per_h for hour in hours),
            wind_max_ms=max(hour.wind_ms for hour in hours),
            gust_max_ms=max(hour.gust_ms for hour in hours),
            wind_direction_deg=noon.wind_direction_deg,
            wmo_code=max(hour.wmo_code for hour in hours),
        )


def _feels_like_c(temperature_c: float, *, humidity: float, wind_ms: float) -> float:
    """Return the apparent temperature (Steadman 1994, without radiation)."""
    vapour_hpa = humidity * 6.105 * exp(17.27 * temperature_c / (237.7 + temperature_c))
    return temperature_c + 0.33 * vapour_hpa - 0.70 * wind_ms - 4.0


def _dew_point_c(temperature_c: float, humidity: float) -> float:
    """Return the dew point (Magnus formula)."""
    gamma = log(humidity) + 17.62 * temperature_c / (243.12 + temperature_c)
    return 243.12 * gamma / (17.62 - gamma)


def _wmo_code(cloud: float, *, rain_mm: float, temperature_c: float) -> int:
    if rain_mm > 0.0:
        if rain_mm > _STORM_MM and temperature_c > _STORM_C:
            return 95
        strength = bisect_right(_RAIN_STEPS_MM, rain_mm)
        return (71, 73, 75)[strength] if temperature_c < _SNOW_C else (61, 63, 65)[strength]
    return bisect_right(_CLOUD_STEPS, cloud)


def metres(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the distance in metres over a flat map around the two points; good enough to find the nearest city."""
    north = (here[0] - there[0]) * 111_195.0
    east = ((here[1] - there[1] + 180.0) % 360.0 - 180.0) * 111_195.0 * cos(radians(here[0]))
    return float((north * north + east * east) ** 0.5)
