"""MET Norway: the weather now and over the coming days, at a point. No key, a contact in the User-Agent.

https://api.met.no/weatherapi/locationforecast/2.0/documentation
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from ossature.kernel.outbound.decode import fields, number, percent, utc
from ossature.kernel.outbound.provider import (
    Account,
    Call,
    Codec,
    Evidence,
    Limit,
    Manifest,
    Privacy,
    Provider,
    Reply,
    Term,
)
from ossature.services.hub.domain.weather import (
    Forecast,
    Weather,
    WeatherCurrent,
    WeatherDay,
    WeatherForecast,
    WeatherHour,
    condition,
)

_WMO_OF_SYMBOL = {
    "clearsky": 0,
    "fair": 1,
    "partlycloudy": 2,
    "cloudy": 3,
    "fog": 45,
    "lightrain": 61,
    "rain": 63,
    "heavyrain": 65,
    "lightrainshowers": 80,
    "rainshowers": 81,
    "heavyrainshowers": 82,
    "lightsleet": 68,
    "sleet": 69,
    "heavysleet": 69,
    "lightsleetshowers": 83,
    "sleetshowers": 84,
    "heavysleetshowers": 84,
    "lightsnow": 71,
    "snow": 73,
    "heavysnow": 75,
    "lightsnowshowers": 85,
    "snowshowers": 85,
    "heavysnowshowers": 86,
}


def encode(query: WeatherCurrent | WeatherForecast, account: Account) -> Call:
    """Ask with at most four decimals: their cache, and their terms, want no more."""
    del account
    return Call(
        "GET",
        "/locationforecast/2.0/compact",
        query={"lat": round(query.latitude, 4), "lon": round(query.longitude, 4)},
    )


def decode_current(query: WeatherCurrent, reply: Reply) -> Weather:
    """The first entry of the series. There is no felt temperature in it, and the code is a word."""
    del query
    entry = reply.json()["properties"]["timeseries"][0]
    details = entry["data"]["instant"]["details"]
    wmo_code = _wmo_code(entry)
    return Weather(
        temperature_c=number(details["air_temperature"]),
        feels_like_c=None,
        humidity_fraction=percent(details.get("relative_humidity")),
        wind_ms=number(details.get("wind_speed")),
        wind_direction_deg=number(details.get("wind_from_direction")),
        pressure_hpa=number(details.get("air_pressure_at_sea_level")),
        wmo_code=wmo_code,
        condition=condition(wmo_code),
        observed_at=_time(entry),
    )


def decode_forecast(query: WeatherForecast, reply: Reply) -> Forecast:
    """Days put together from the entries; hours while the series is hourly (later it has one entry for six hours)."""
    by_day: dict[date, list[WeatherHour]] = defaultdict(list)
    hours = []
    for entry in reply.json()["properties"]["timeseries"]:
        span = _hour(entry)
        by_day[span.at.date()].append(span)
        if "next_1_hours" in entry["data"]:
            hours.append(span)
    wanted = sorted(by_day)[: query.days]
    return Forecast(
        days=[_day(on, by_day[on]) for on in wanted],
        hours=[hour for hour in hours if hour.at.date() in wanted],
    )


def _time(entry: Mapping[str, Any]) -> datetime:
    at = utc(entry["time"])
    if at is None:
        msg = "an entry without a time"
        raise ValueError(msg)
    return at


def _coming(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of the time after an entry: the next hour, or the next six where the series is coarse."""
    data = entry["data"]
    return fields(data.get("next_1_hours") or data.get("next_6_hours"))


def _wmo_code(entry: Mapping[str, Any]) -> int | None:
    symbol = str(fields(_coming(entry).get("summary")).get("symbol_code", "")).partition("_")[0]
    if not symbol:
        return None
    plain = symbol.removesuffix("andthunder")
    return 95 if plain != symbol else _WMO_OF_SYMBOL.get(plain)


def _hour(entry: Mapping[str, Any]) -> WeatherHour:
    details = entry["data"]["instant"]["details"]
    return WeatherHour(
        at=_time(entry),
        temperature_c=number(details.get("air_temperature")),
        precipitation_mm=number(fields(_coming(entry).get("details")).get("precipitation_amount")),
        wind_ms=number(details.get("wind_speed")),
        wmo_code=_wmo_code(entry),
    )


def _day(on: date, hours: Sequence[WeatherHour]) -> WeatherDay:
    temperatures = [hour.temperature_c for hour in hours if hour.temperature_c is not None]
    winds = [hour.wind_ms for hour in hours if hour.wind_ms is not None]
    rains = [hour.precipitation_mm for hour in hours if hour.precipitation_mm is not None]
    codes = [hour.wmo_code for hour in hours if hour.wmo_code is not None]
    return WeatherDay(
        date=on,
        min_c=min(temperatures, default=None),
        max_c=max(temperatures, default=None),
        precipitation_mm=round(sum(rains), 2) if rains else None,
        wind_max_ms=max(winds, default=None),
        wmo_code=max(codes, default=None),
    )


provider = Provider(
    Manifest(
        id="met_norway",
        title="MET Norway",
        base_url="https://api.met.no/weatherapi",
        limits=(Limit(limit=20, per_s=1, scope="application", evidence="unknown"),),
        needs_contact=True,
        licence="CC BY 4.0",
        attribution="Weather data from MET Norway",
        terms=(
            Term(about="commercial", holds=True),
            Term(about="attribution", holds=True),
            Term(about="caching", holds=True, text="Answers are to be kept until `Expires`."),
        ),
        privacy=Privacy(leaves=("coordinates",), region="NO"),
        docs="https://api.met.no/weatherapi/locationforecast/2.0/documentation",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=75,
    ),
    {"weather.current": Codec(encode, decode_current), "weather.forecast": Codec(encode, decode_forecast)},
)
