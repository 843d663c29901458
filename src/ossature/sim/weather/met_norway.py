"""MET Norway Locationforecast 2.0: https://api.met.no/weatherapi/locationforecast/2.0/documentation.

Wants a User-Agent with a contact and at most four decimals, else 403; answers If-Modified-Since with 304.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ossature.sim.limits import Limit
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, http_date, json_reply, number, text_reply
from ossature.sim.world.sky import Weather
from ossature.sim.world.world import World

_MAX_DECIMALS = 4
_HOURLY_H, _LAST_H = 60, 216
_SYMBOLS = {
    0: "clearsky", 1: "fair", 2: "partlycloudy", 3: "cloudy", 61: "lightrain", 63: "rain", 65: "heavyrain",
    71: "lightsnow", 73: "snow", 75: "heavysnow", 95: "heavyrainandthunder",
}  # fmt: skip
_BY_DAY_AND_NIGHT = frozenset({0, 1, 2})
_UNITS = {
    "air_pressure_at_sea_level": "hPa",
    "air_temperature": "celsius",
    "cloud_area_fraction": "%",
    "precipitation_amount": "mm",
    "relative_humidity": "%",
    "wind_from_direction": "degrees",
    "wind_speed": "m/s",
}


def _symbol(weather: Weather) -> str:
    suffix = ("_day" if weather.is_day else "_night") if weather.wmo_code in _BY_DAY_AND_NIGHT else ""
    return _SYMBOLS[weather.wmo_code] + suffix


def _step(world: World, place: tuple[float, float], *, at: datetime, after_h: int) -> dict[str, Any]:
    weather = world.sky.at(*place, at)
    details = {
        "air_pressure_at_sea_level": round(weather.pressure_hpa, 1),
        "air_temperature": round(weather.temperature_c + world.lean("met_norway", "temperature", by=0.4), 1),
        "cloud_area_fraction": round(weather.cloud_fraction * 100, 1),
        "relative_humidity": round(weather.humidity_fraction * 100, 1),
        "wind_from_direction": round(weather.wind_direction_deg, 1),
        "wind_speed": round(weather.wind_ms + world.lean("met_norway", "wind", by=0.3) * 0.5, 1),
    }
    data: dict[str, Any] = {"instant": {"details": details}}
    if after_h < _LAST_H - 12:
        data["next_12_hours"] = {"summary": {"symbol_code": _symbol(weather)}, "details": {}}
    for hours, is_there in ((1, after_h < _HOURLY_H), (6, after_h < _LAST_H - 6)):
        if is_there:
            amount_mm = round(weather.precipitation_mm_per_h * hours, 1)
            summary = {"symbol_code": _symbol(weather)}
            data[f"next_{hours}_hours"] = {"summary": summary, "details": {"precipitation_amount": amount_mm}}
    return {"time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": data}


def _place(request: Request) -> tuple[float, float]:
    query = request.query()
    latitude, longitude = number(query, "lat"), number(query, "lon")
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise InputError("lat" if abs(latitude) > 90 else "lon")
    return latitude, longitude


def _too_precise(request: Request) -> bool:
    query = request.query()
    return any(len(query.get(name, "").partition(".")[2]) > _MAX_DECIMALS for name in ("lat", "lon"))


def _is_fresh(request: Request, updated: datetime) -> bool:
    since = request.header(b"if-modified-since")
    if since is None:
        return False
    try:
        return parsedate_to_datetime(since).astimezone(UTC) >= updated
    except ValueError:
        return False


def _compact(request: Request) -> Reply:
    try:
        place = _place(request)
    except InputError as bad:
        return text_reply(f"Bad request: missing or invalid parameter '{bad.message}'\n", status=400)
    if _too_precise(request):
        return text_reply("403 Forbidden: at most 4 decimals in coordinates, see the Terms of Service\n", status=403)
    hour = request.now.replace(minute=0, second=0, microsecond=0)
    updated = request.now.replace(minute=request.now.minute // 30 * 30, second=0, microsecond=0)
    headers = (
        (b"expires", http_date(updated + timedelta(minutes=31))),
        (b"last-modified", http_date(updated)),
        (b"vary", b"Accept, Accept-Encoding"),
    )
    if _is_fresh(request, updated):
        return Reply(status=304, headers=headers)
    offsets_h = [*range(_HOURLY_H), *range(_HOURLY_H, _LAST_H + 1, 6)]
    series = [
        _step(request.world, place, at=hour + timedelta(hours=offset_h), after_h=offset_h) for offset_h in offsets_h
    ]
    meta = {"updated_at": updated.strftime("%Y-%m-%dT%H:%M:%SZ"), "units": _UNITS}
    geometry = {"type": "Point", "coordinates": [place[1], place[0], 30]}
    return json_reply(
        {"type": "Feature", "geometry": geometry, "properties": {"meta": meta, "timeseries": series}},
        headers=headers,
    )


_PAGE = "<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\n"
_TITLES = {403: "403 Forbidden", 404: "404 Not Found", 405: "405 Method Not Allowed", 429: "429 Too Many Requests"}


def refuse(no: Refusal) -> Reply:
    """Say no as its proxy does: a small page."""
    title = _TITLES.get(no.status, f"{no.status} Service Unavailable")
    return text_reply(_PAGE.format(title=title), status=no.status, content_type="text/html")


def error_in_200() -> Reply:
    """Answer with the page of the proxy under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="met_norway",
    routes=(
        Route(
            "GET",
            "/locationforecast/2.0/compact",
            "weather.current",
            _compact,
            vital="properties.timeseries.*.data.instant.details.air_temperature",
        ),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
    limits=(Limit(20, "second", everyone=True),),
    needs_contact=True,
)
