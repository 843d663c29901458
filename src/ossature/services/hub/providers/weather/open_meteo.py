"""Open-Meteo: the weather now and over the coming days, at a point. No key. https://open-meteo.com/en/docs"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ossature.kernel.outbound.decode import day, fields, integer, items, number, percent, utc
from ossature.kernel.outbound.kinds import kind_of_status
from ossature.kernel.outbound.provider import (
    Account,
    Call,
    Codec,
    ErrorKind,
    Evidence,
    Limit,
    Manifest,
    Privacy,
    Provider,
    Refusal,
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

_CURRENT = "temperature_2m,apparent_temperature,relative_humidity_2m,wind_speed_10m,wind_direction_10m,pressure_msl,weather_code"
_DAILY = "temperature_2m_min,temperature_2m_max,precipitation_sum,wind_speed_10m_max,weather_code"
_HOURLY = "temperature_2m,precipitation,wind_speed_10m,weather_code"


def encode_current(query: WeatherCurrent, account: Account) -> Call:
    """Ask for the present, in metres per second and UTC."""
    del account
    return Call(
        "GET",
        "/forecast",
        query={
            "latitude": query.latitude,
            "longitude": query.longitude,
            "current": _CURRENT,
            "wind_speed_unit": "ms",
            "timezone": "UTC",
        },
    )


def decode_current(query: WeatherCurrent, reply: Reply) -> Weather:
    """The block `current`; its times carry no zone, only the offset beside them."""
    del query
    document = reply.json()
    now = document["current"]
    observed_at = utc(now["time"], offset_s=int(document.get("utc_offset_seconds", 0)))
    if observed_at is None:
        msg = "no time of observation"
        raise ValueError(msg)
    wmo_code = integer(now.get("weather_code"))
    return Weather(
        temperature_c=number(now["temperature_2m"]),
        feels_like_c=number(now.get("apparent_temperature")),
        humidity_fraction=percent(now.get("relative_humidity_2m")),
        wind_ms=number(now.get("wind_speed_10m")),
        wind_direction_deg=number(now.get("wind_direction_10m")),
        pressure_hpa=number(now.get("pressure_msl")),
        wmo_code=wmo_code,
        condition=condition(wmo_code),
        observed_at=observed_at,
    )


def encode_forecast(query: WeatherForecast, account: Account) -> Call:
    """Ask for days and hours, in metres per second and UTC."""
    del account
    return Call(
        "GET",
        "/forecast",
        query={
            "latitude": query.latitude,
            "longitude": query.longitude,
            "daily": _DAILY,
            "hourly": _HOURLY,
            "forecast_days": query.days,
            "wind_speed_unit": "ms",
            "timezone": "UTC",
        },
    )


def decode_forecast(query: WeatherForecast, reply: Reply) -> Forecast:
    """Days and hours: one list for each field, all with the same order."""
    del query
    document = reply.json()
    offset_s = int(document.get("utc_offset_seconds", 0))
    return Forecast(
        days=[_day(document["daily"], i) for i in range(len(document["daily"]["time"]))],
        hours=[_hour(fields(document.get("hourly")), i, offset_s) for i in range(_length(document))],
    )


def _length(document: Mapping[str, Any]) -> int:
    return len(items(fields(document.get("hourly")).get("time")))


def _at(block: Mapping[str, Any], name: str, index: int) -> object:
    column = items(block.get(name))
    return column[index] if index < len(column) else None


def _day(daily: Mapping[str, Any], index: int) -> WeatherDay:
    on = day(_at(daily, "time", index))
    return WeatherDay(
        date=on if isinstance(on, date) else _missing(),
        min_c=number(_at(daily, "temperature_2m_min", index)),
        max_c=number(_at(daily, "temperature_2m_max", index)),
        precipitation_mm=number(_at(daily, "precipitation_sum", index)),
        wind_max_ms=number(_at(daily, "wind_speed_10m_max", index)),
        wmo_code=integer(_at(daily, "weather_code", index)),
    )


def _hour(hourly: Mapping[str, Any], index: int, offset_s: int) -> WeatherHour:
    return WeatherHour(
        at=utc(_at(hourly, "time", index), offset_s=offset_s) or _missing(),
        temperature_c=number(_at(hourly, "temperature_2m", index)),
        precipitation_mm=number(_at(hourly, "precipitation", index)),
        wind_ms=number(_at(hourly, "wind_speed_10m", index)),
        wmo_code=integer(_at(hourly, "weather_code", index)),
    )


def _missing() -> Any:  # noqa: ANN401 - never returns
    msg = "a time is missing"
    raise ValueError(msg)


def refusal(reply: Reply) -> Refusal | None:
    """`{"error": true, "reason": ...}`: the parameters, or too many requests; it may come under any status."""
    if not reply.body.lstrip().startswith(b"{"):
        return None
    document = fields(reply.json())
    if document.get("error") is not True:
        return None
    reason = str(document.get("reason", ""))
    if "limit exceeded" in reason:
        return Refusal(ErrorKind.QUOTA, reason)
    kind = ErrorKind.BAD_REQUEST if reply.status == 400 else kind_of_status(reply) or ErrorKind.UPSTREAM_5XX
    return Refusal(kind, reason)


provider = Provider(
    Manifest(
        id="open_meteo",
        title="Open-Meteo",
        base_url="https://api.open-meteo.com/v1",
        limits=(
            Limit(limit=600, per_s=60, scope="ip", evidence="verified"),
            Limit(limit=10_000, per_s=86_400, kind="fixed", scope="ip", evidence="verified"),
        ),
        licence="CC BY 4.0",
        attribution="Weather data by Open-Meteo.com",
        terms=(
            Term(about="commercial", holds=False, text="The keyless service is for non-commercial use."),
            Term(about="attribution", holds=True),
            Term(about="caching", holds=None),
        ),
        privacy=Privacy(leaves=("coordinates",), region="EU"),
        docs="https://open-meteo.com/en/docs",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=70,
    ),
    {
        "weather.current": Codec(encode_current, decode_current, refusal),
        "weather.forecast": Codec(encode_forecast, decode_forecast, refusal),
    },
)
