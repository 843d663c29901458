"""WeatherAPI.com: the weather now, at a point. A key in the query. https://www.weatherapi.com/docs/"""

from datetime import date

from ossature.kernel.outbound.decode import epoch, fields, integer, number, percent
from ossature.kernel.outbound.provider import (
    Account,
    Auth,
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
from ossature.services.hub.domain.weather import Weather, WeatherCurrent

# Its condition codes are a list of its own; those that have a WMO code of the same meaning.
_WMO_OF_CODE = {
    1000: 0,
    1003: 2,
    1006: 3,
    1009: 3,
    1030: 45,
    1135: 45,
    1147: 48,
    1063: 80,
    1150: 51,
    1153: 51,
    1168: 56,
    1171: 57,
    1180: 61,
    1183: 61,
    1186: 63,
    1189: 63,
    1192: 65,
    1195: 65,
    1198: 66,
    1201: 67,
    1204: 68,
    1207: 69,
    1210: 71,
    1213: 71,
    1216: 73,
    1219: 73,
    1222: 75,
    1225: 75,
    1240: 80,
    1243: 81,
    1246: 82,
    1249: 83,
    1252: 84,
    1255: 85,
    1258: 86,
    1087: 95,
    1273: 95,
    1276: 95,
}
_REFUSALS = {
    1002: ErrorKind.AUTH,
    2006: ErrorKind.AUTH,
    2007: ErrorKind.QUOTA,
    2008: ErrorKind.AUTH,
    2009: ErrorKind.POLICY,
    1003: ErrorKind.BAD_REQUEST,
    1005: ErrorKind.BAD_REQUEST,
    1006: ErrorKind.NOT_FOUND,
}


def encode(query: WeatherCurrent, account: Account) -> Call:
    """Ask by coordinates."""
    del account
    return Call("GET", "/current.json", query={"q": f"{query.latitude},{query.longitude}"})


def decode(query: WeatherCurrent, reply: Reply) -> Weather:
    """Speeds are km/h, pressure is in millibars (which are hectopascals), and only the epoch time is without a zone."""
    del query
    now = reply.json()["current"]
    observed_at = epoch(now["last_updated_epoch"])
    if observed_at is None:
        msg = "no time of observation"
        raise ValueError(msg)
    wind_kph = number(now.get("wind_kph"))
    described = fields(now.get("condition"))
    return Weather(
        temperature_c=number(now["temp_c"]),
        feels_like_c=number(now.get("feelslike_c")),
        humidity_fraction=percent(now.get("humidity")),
        wind_ms=None if wind_kph is None else round(wind_kph / 3.6, 4),
        wind_direction_deg=number(now.get("wind_degree")),
        pressure_hpa=number(now.get("pressure_mb")),
        wmo_code=_WMO_OF_CODE.get(integer(described.get("code")) or 0),
        condition=str(described["text"]).strip().lower() if described.get("text") else None,
        observed_at=observed_at,
    )


def refusal(reply: Reply) -> Refusal | None:
    """`{"error": {"code", "message"}}`, with numbers of its own."""
    if reply.ok:
        return None
    error = fields(fields(reply.json()).get("error"))
    kind = _REFUSALS.get(integer(error.get("code")) or 0)
    return Refusal(kind, str(error.get("message", ""))) if kind else None


provider = Provider(
    Manifest(
        id="weatherapi",
        title="WeatherAPI.com",
        base_url="https://api.weatherapi.com/v1",
        auth=Auth.query("key"),
        limits=(Limit(limit=1_000_000, per_s=30 * 86_400, kind="fixed", evidence="unknown"),),
        attribution="Powered by WeatherAPI.com",
        terms=(Term(about="commercial", holds=None), Term(about="caching", holds=None)),
        privacy=Privacy(leaves=("coordinates",)),
        docs="https://www.weatherapi.com/docs/",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=60,
    ),
    {"weather.current": Codec(encode, decode, refusal)},
)
