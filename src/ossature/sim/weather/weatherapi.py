"""WeatherAPI.com: https://www.weatherapi.com/docs/. Key in the query; condition codes of its own; local times."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ossature.sim.limits import Limit
from ossature.sim.provider import Credential, Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, whole
from ossature.sim.world.cities import City, nearest, search
from ossature.sim.world.sky import Weather

_MAX_DAYS = 14
# WMO code: (its code, text by day, text by night, icon)
_CONDITIONS = {
    0: (1000, "Sunny", "Clear", 113), 1: (1003, "Partly cloudy", "Partly cloudy", 116),
    2: (1003, "Partly cloudy", "Partly cloudy", 116), 3: (1009, "Overcast", "Overcast", 122),
    61: (1183, "Light rain", "Light rain", 296), 63: (1189, "Moderate rain", "Moderate rain", 302),
    65: (1195, "Heavy rain", "Heavy rain", 308), 71: (1213, "Light snow", "Light snow", 326),
    73: (1219, "Moderate snow", "Moderate snow", 332), 75: (1225, "Heavy snow", "Heavy snow", 338),
    95: (1276, "Moderate or heavy rain with thunder", "Moderate or heavy rain with thunder", 389),
}  # fmt: skip
_POINTS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")


def _no(status: int, code: int, message: str) -> Reply:
    return json_reply({"error": {"code": code, "message": message}}, status=status)


def _where(query: dict[str, str]) -> tuple[float, float, City | None]:
    """Return latitude, longitude and the city, if any. Raises: InputError when there is no such place."""
    text = query["q"]
    first, comma, second = text.partition(",")
    if comma:
        try:
            latitude, longitude = float(first), float(second)
        except ValueError:
            pass
        else:
            if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
                raise InputError(text)
            return latitude, longitude, nearest(latitude, longitude)
    found = search(text)
    if not found:
        raise InputError(text)
    return found[0].latitude, found[0].longitude, found[0]


def _location(latitude: float, longitude: float, *, city: City | None, now: datetime) -> dict[str, Any]:
    zone = city.zone if city else "UTC"
    return {
        "name": city.name if city else "",
        "region": city.region if city else "",
        "country": city.country if city else "",
        "lat": round(latitude, 2),
        "lon": round(longitude, 2),
        "tz_id": zone,
        "localtime_epoch": int(now.timestamp()),
        "localtime": now.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M"),
    }


def _condition(wmo_code: int, *, is_day: bool) -> dict[str, Any]:
    code, by_day, by_night, icon = _CONDITIONS[wmo_code]
    part = "day" if is_day else "night"
    url = f"//cdn.weatherapi.com/weather/64x64/{part}/{icon}.png"
    return {"text": by_day if is_day else by_night, "icon": url, "code": code}


def _values(weather: Weather, lean_c: float) -> dict[str, Any]:
    temperature_c, feels_like_c = weather.temperature_c + lean_c, weather.feels_like_c + lean_c
    return {
        "temp_c": round(temperature_c, 1),
        "temp_f": round(temperature_c * 1.8 + 32, 1),
        "is_day": int(weather.is_day),
        "condition": _condition(weather.wmo_code, is_day=weather.is_day),
        "wind_mph": round(weather.wind_ms * 2.236936, 1),
        "wind_kph": round(weather.wind_ms * 3.6, 1),
        "wind_degree": round(weather.wind_direction_deg),
        "wind_dir": _POINTS[round(weather.wind_direction_deg / 22.5) % 16],
        "pressure_mb": round(weather.pressure_hpa),
        "pressure_in": round(weather.pressure_hpa * 0.02953, 2),
        "precip_mm": round(weather.precipitation_mm_per_h, 2),
        "precip_in": round(weather.precipitation_mm_per_h / 25.4, 2),
        "humidity": round(weather.humidity_fraction * 100),
        "cloud": round(weather.cloud_fraction * 100),
        "feelslike_c": round(feels_like_c, 1),
        "feelslike_f": round(feels_like_c * 1.8 + 32, 1),
        "vis_km": 10.0,
        "vis_miles": 6.0,
        "uv": 3.0 if weather.is_day else 0.0,
        "gust_mph": round(weather.gust_ms * 2.236936, 1),
        "gust_kph": round(weather.gust_ms * 3.6, 1),
    }


def _answer(request: Request, *, days: int | None) -> Reply:
    query = request.query()
    if not query.get("q"):
        return _no(400, 1003, "Parameter q is missing.")
    try:
        latitude, longitude, city = _where(query)
    except InputError:
        return _no(400, 1006, "No matching location found.")
    lean_c = request.world.lean("weatherapi", "temperature", by=0.5)
    at = request.now.replace(minute=request.now.minute // 15 * 15, second=0, microsecond=0)
    location = _location(latitude, longitude, city=city, now=request.now)
    zone = ZoneInfo(location["tz_id"])
    updated = {
        "last_updated_epoch": int(at.timestamp()),
        "last_updated": at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
    }
    current = updated | _values(request.world.sky.at(latitude, longitude, at), lean_c)
    reply = {"location": location, "current": current}
    if days is not None:
        midnight = request.now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        starts = [midnight + timedelta(days=day) for day in range(days)]
        forecast = [_day(request, (latitude, longitude), start=start, lean_c=lean_c) for start in starts]
        reply["forecast"] = {"forecastday": forecast}
    return json_reply(reply)


def _day(request: Request, place: tuple[float, float], *, start: datetime, lean_c: float) -> dict[str, Any]:
    sky = request.world.sky
    day = sky.day(*place, start)
    hours = []
    for hour in range(24):
        at = start.astimezone(UTC) + timedelta(hours=hour)
        stamp = {"time_epoch": int(at.timestamp()), "time": at.astimezone(start.tzinfo).strftime("%Y-%m-%d %H:%M")}
        hours.append(stamp | _values(sky.at(*place, at), lean_c))
    return {
        "date": start.date().isoformat(),
        "date_epoch": int(datetime.combine(start.date(), datetime.min.time(), UTC).timestamp()),
        "day": {
            "maxtemp_c": round(day.max_c + lean_c, 1),
            "maxtemp_f": round((day.max_c + lean_c) * 1.8 + 32, 1),
            "mintemp_c": round(day.min_c + lean_c, 1),
            "mintemp_f": round((day.min_c + lean_c) * 1.8 + 32, 1),
            "maxwind_mph": round(day.wind_max_ms * 2.236936, 1),
            "maxwind_kph": round(day.wind_max_ms * 3.6, 1),
            "totalprecip_mm": round(day.precipitation_mm, 2),
            "totalprecip_in": round(day.precipitation_mm / 25.4, 2),
            "daily_chance_of_rain": 90 if day.precipitation_mm else 0,
            "condition": _condition(day.wmo_code, is_day=True),
        },
        "hour": hours,
    }


def _current(request: Request) -> Reply:
    return _answer(request, days=None)


def _forecast(request: Request) -> Reply:
    try:
        days = whole(request.query(), "days", otherwise=1, least=1, most=_MAX_DAYS)
    except InputError:
        return _no(400, 1007, f"Parameter days must be between 1 and {_MAX_DAYS}.")
    return _answer(request, days=days)


def refuse(no: Refusal) -> Reply:
    """Say no as WeatherAPI does; a month that is used up is a 403 with code 2007."""
    match no.reason:
        case Reason.NO_KEY:
            return _no(401, 1002, "API key is invalid or not provided.")
        case Reason.WRONG_KEY:
            return _no(401, 2006, "API key provided is invalid")
        case Reason.THROTTLED:
            return _no(403, 2007, "API key has exceeded calls per month quota.")
        case Reason.NO_SUCH_PATH | Reason.WRONG_METHOD:
            return _no(no.status, 1005, "API URL is invalid.")
        case _:
            return _no(no.status, 9999, "Internal application error.")


def error_in_200() -> Reply:
    """Put the error of an internal failure under status 200."""
    return _no(200, 9999, "Internal application error.")


PROVIDER = Provider(
    id="weatherapi",
    routes=(
        Route("GET", "/current.json", "weather.current", _current, vital="current.temp_c"),
        Route("GET", "/forecast.json", "weather.forecast", _forecast, vital="forecast.forecastday.*.day.maxtemp_c"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
    credential=Credential("query", "key"),
    limits=(Limit(1_000_000, "month"),),
)
