"""Open-Meteo forecast API: https://open-meteo.com/en/docs. Times carry no zone; units follow the parameters."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ossature.sim.limits import Limit
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, number, whole
from ossature.sim.world.cities import nearest
from ossature.sim.world.sky import Day, Weather

_MAX_DAYS = 16
_SPEED = {"kmh": (3.6, "km/h"), "ms": (1.0, "m/s"), "mph": (2.236936, "mp/h"), "kn": (1.943844, "kn")}
_QUARTER = timedelta(minutes=15)

# name: (value in base units, what it measures)
_NOW: Mapping[str, tuple[Callable[[Weather], float], str]] = {
    "temperature_2m": (lambda w: w.temperature_c, "temperature"),
    "apparent_temperature": (lambda w: w.feels_like_c, "temperature"),
    "dew_point_2m": (lambda w: w.dew_point_c, "temperature"),
    "relative_humidity_2m": (lambda w: round(w.humidity_fraction * 100), "%"),
    "cloud_cover": (lambda w: round(w.cloud_fraction * 100), "%"),
    "precipitation": (lambda w: w.precipitation_mm_per_h, "mm"),
    "precipitation_probability": (lambda w: round(min(1.0, w.cloud_fraction**2) * 100), "%"),
    "rain": (lambda w: 0.0 if w.wmo_code in {71, 73, 75} else w.precipitation_mm_per_h, "mm"),
    "weather_code": (lambda w: w.wmo_code, "wmo code"),
    "pressure_msl": (lambda w: w.pressure_hpa, "hPa"),
    "surface_pressure": (lambda w: w.pressure_hpa - 4.0, "hPa"),
    "wind_speed_10m": (lambda w: w.wind_ms, "speed"),
    "wind_gusts_10m": (lambda w: w.gust_ms, "speed"),
    "wind_direction_10m": (lambda w: round(w.wind_direction_deg), "°"),
    "is_day": (lambda w: int(w.is_day), ""),
}
_DAILY: Mapping[str, tuple[Callable[[Day], float], str]] = {
    "weather_code": (lambda d: d.wmo_code, "wmo code"),
    "temperature_2m_max": (lambda d: d.max_c, "temperature"),
    "temperature_2m_min": (lambda d: d.min_c, "temperature"),
    "precipitation_sum": (lambda d: d.precipitation_mm, "mm"),
    "precipitation_probability_max": (lambda d: 90 if d.precipitation_mm else 10, "%"),
    "wind_speed_10m_max": (lambda d: d.wind_max_ms, "speed"),
    "wind_gusts_10m_max": (lambda d: d.gust_max_ms, "speed"),
    "wind_direction_10m_dominant": (lambda d: round(d.wind_direction_deg), "°"),
}


class _Units:
    """The units that the parameters ask for."""

    def __init__(self, query: Mapping[str, str]) -> None:
        speed = query.get("wind_speed_unit", "kmh")
        warmth = query.get("temperature_unit", "celsius")
        if speed not in _SPEED:
            raise InputError(
                f"Data corrupted at path ''. Cannot initialize WindspeedUnit from invalid String value {speed}."
            )
        if warmth not in {"celsius", "fahrenheit"}:
            raise InputError(
                f"Data corrupted at path ''. Cannot initialize TemperatureUnit from invalid String value {warmth}."
            )
        self._speed, self._speed_name = _SPEED[speed]
        self._fahrenheit = warmth == "fahrenheit"

    def name(self, measures: str) -> str:
        """Return the unit as the reply names it."""
        if measures == "temperature":
            return "°F" if self._fahrenheit else "°C"
        return self._speed_name if measures == "speed" else measures

    def convert(self, value: float, measures: str) -> float:
        """Return the value in the unit asked for."""
        if measures == "temperature":
            return round(value * 1.8 + 32.0 if self._fahrenheit else value, 1)
        if measures == "speed":
            return round(value * self._speed, 2)
        return value if isinstance(value, int) else round(value, 1)


def _names(query: Mapping[str, str], section: str, *, known: Mapping[str, object]) -> list[str]:
    names = [name for name in query.get(section, "").split(",") if name]
    for name in names:
        if name not in known:
            raise InputError(f"Data corrupted at path ''. Cannot initialize Variable from invalid String value {name}.")
    return names


def _place(query: Mapping[str, str]) -> tuple[float, float]:
    try:
        latitude, longitude = number(query, "latitude"), number(query, "longitude")
    except InputError as missing:
        raise InputError(f"Value of type 'Double' required for key '{missing.message}'.") from None
    if not -90 <= latitude <= 90:
        raise InputError(f"Latitude must be in range of -90 to 90°. Given: {latitude}.")
    if not -180 <= longitude <= 180:
        raise InputError(f"Longitude must be in range of -180 to 180°. Given: {longitude}.")
    return latitude, longitude


def _zone(query: Mapping[str, str], place: tuple[float, float]) -> ZoneInfo:
    name = query.get("timezone", "GMT")
    if name == "auto":
        city = nearest(*place)
        name = city.zone if city else "GMT"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError("Invalid timezone") from None


def _days(query: Mapping[str, str]) -> int:
    try:
        return whole(query, "forecast_days", otherwise=7, least=0, most=_MAX_DAYS)
    except InputError:
        given = query["forecast_days"]
        raise InputError(f"Forecast days is invalid. Allowed range 0 to {_MAX_DAYS}. Given {given}.") from None


class _Place:
    """One place under this provider's sky."""

    def __init__(self, request: Request) -> None:
        self._query = request.query()
        self._units = _Units(self._query)
        # Answers are for the centre of a grid cell, not for the point asked for.
        asked = _place(self._query)
        self._latitude, self._longitude = (round(degrees * 16) / 16 for degrees in asked)
        self._sky = request.world.sky
        self._zone = _zone(self._query, asked)
        self._local = request.now.astimezone(self._zone)
        self._lean_c = request.world.lean("open_meteo", "temperature", by=0.3)

    def _text(self, at: datetime) -> str | int:
        if self._query.get("timeformat") == "unixtime":
            return int(at.timestamp())
        return at.strftime("%Y-%m-%dT%H:%M")

    def _value(self, name: str, weather: Weather) -> float:
        read, measures = _NOW[name]
        value = read(weather)
        return self._units.convert(value + self._lean_c if measures == "temperature" else value, measures)

    def _labels(self, names: list[str], known: Mapping[str, tuple[Any, str]]) -> dict[str, str]:
        time = "unixtime" if self._query.get("timeformat") == "unixtime" else "iso8601"
        return {"time": time} | {name: self._units.name(known[name][1]) for name in names}

    def current(self) -> dict[str, Any]:
        names = _names(self._query, "current", known=_NOW)
        if not names:
            return {}
        at = self._local.replace(minute=self._local.minute // 15 * 15, second=0, microsecond=0)
        weather = self._sky.at(self._latitude, self._longitude, at)
        labels = self._labels(names, _NOW)
        return {
            "current_units": {"time": labels.pop("time"), "interval": "seconds"} | labels,
            "current": {"time": self._text(at), "interval": int(_QUARTER.total_seconds())}
            | {name: self._value(name, weather) for name in names},
        }

    def hourly(self) -> dict[str, Any]:
        names = _names(self._query, "hourly", known=_NOW)
        if not names:
            return {}
        midnight = self._local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        times = [midnight + timedelta(hours=hour) for hour in range(24 * _days(self._query))]
        weathers = [self._sky.at(self._latitude, self._longitude, at) for at in times]
        columns = {name: [self._value(name, weather) for weather in weathers] for name in names}
        clock = [self._text(at.astimezone(self._zone)) for at in times]
        return {"hourly_units": self._labels(names, _NOW), "hourly": {"time": clock} | columns}

    def daily(self) -> dict[str, Any]:
        names = _names(self._query, "daily", known=_DAILY)
        if not names:
            return {}
        midnight = self._local.replace(hour=0, minute=0, second=0, microsecond=0)
        starts = [midnight + timedelta(days=day) for day in range(_days(self._query))]
        days = [self._sky.day(self._latitude, self._longitude, start) for start in starts]
        unix = self._query.get("timeformat") == "unixtime"
        columns: dict[str, list[Any]] = {
            "time": [int(start.timestamp()) if unix else start.date().isoformat() for start in starts],
        }
        for name in names:
            read, measures = _DAILY[name]
            lean_c = self._lean_c if measures == "temperature" else 0
            columns[name] = [self._units.convert(read(day) + lean_c, measures) for day in days]
        return {"daily_units": self._labels(names, _DAILY), "daily": columns}

    def reply(self) -> dict[str, Any]:
        offset = self._local.utcoffset() or timedelta()
        return {
            "latitude": self._latitude,
            "longitude": self._longitude,
            "generationtime_ms": 0.2511,
            "utc_offset_seconds": int(offset.total_seconds()),
            "timezone": str(self._zone),
            "timezone_abbreviation": self._local.tzname() or "GMT",
            "elevation": 38.0,
            **self.current(),
            **self.hourly(),
            **self.daily(),
        }


def _no(reason: str, status: int = 400) -> Reply:
    return json_reply({"reason": reason, "error": True}, status=status)


def _forecast(request: Request) -> Reply:
    try:
        return json_reply(_Place(request).reply())
    except InputError as bad:
        return _no(bad.message)


def _operation(request: Request) -> str:
    return "weather.current" if b"current=" in request.query_string else "weather.forecast"


_FULL = {
    "minute": "Minutely API request limit exceeded. Please try again in one minute.",
    "hour": "Hourly API request limit exceeded. Please try again in the next hour.",
    "day": "Daily API request limit exceeded. Please try again tomorrow.",
}


def refuse(no: Refusal) -> Reply:
    """Say no as Open-Meteo does; it never sends Retry-After."""
    if no.reason is Reason.THROTTLED:
        return _no(_FULL.get(no.limit.period if no.limit else "minute", _FULL["minute"]), no.status)
    return _no({404: "Not Found", 405: "Method Not Allowed"}.get(no.status, "Internal Server Error"), no.status)


def error_in_200() -> Reply:
    """Say with status 200 that something failed."""
    return _no("Unexpected error while streaming data: timeoutReached", 200)


PROVIDER = Provider(
    id="open_meteo",
    routes=(Route("GET", "/forecast", _operation, _forecast, vital="current.temperature_2m"),),
    refuse=refuse,
    error_in_200=error_in_200,
    limits=(Limit(600, "minute"), Limit(5_000, "hour"), Limit(10_000, "day")),
)
