"""Nothing that a caller asks breaks a simulated provider."""

from typing import Any
from urllib.parse import urlencode

import hypothesis
import pytest
from hypothesis import strategies

from ossature.sim.app import create
from ossature.sim.clock import Clock
from ossature.sim.providers import PROVIDERS
from ossature.sim.wire import Request

NAMES = ("latitude", "longitude", "lat", "lon", "q", "name", "limit", "count", "days", "forecast_days", "current", "daily",
    "hourly", "timezone", "base", "symbols", "amount", "date", "format", "lang", "wind_speed_unit", "timeformat")  # fmt: skip
TELLING = (
    "Paris",
    "48.85",
    "2.35",
    "1e308",
    "nan",
    "48.85,2.35",
    "Europe",
    "auto",
    "../x",
    "EUR",
    "2026-01-01",
    "-1",
    "9" * 5000,
)
TEXTS = strategies.sampled_from(TELLING) | strategies.text(max_size=12)
SIMULATOR = create(clock=Clock(step=True), limits={provider.id: [] for provider in PROVIDERS})
PATHS = [
    ("open_meteo", "/forecast"),
    ("met_norway", "/locationforecast/2.0/compact"),
    ("weatherapi", "/current.json"),
    ("weatherapi", "/forecast.json"),
    ("frankfurter", "/v1/latest"),
    ("frankfurter", "/v1/2026-06-08.."),
    ("frankfurter", "/v1/9999-12-31"),
    ("frankfurter", "/v2/rates"),
    ("nominatim", "/search"),
    ("nominatim", "/reverse"),
    ("photon", "/api/"),
    ("photon", "/reverse"),
    ("open_meteo_geocoding", "/search"),
    ("opencage", "/json"),
]


@hypothesis.given(query=strategies.dictionaries(strategies.sampled_from(NAMES), TEXTS, max_size=6))
@pytest.mark.parametrize(("provider", "path"), PATHS)
def test_no_query_whatever_breaks_a_provider(provider: str, path: str, query: dict[str, Any]) -> None:
    _ask(provider, path, query)


@pytest.mark.parametrize("text", TELLING)
@pytest.mark.parametrize(("provider", "path"), PATHS)
def test_no_parameter_alone_breaks_a_provider(provider: str, path: str, text: str) -> None:
    good = {
        "latitude": "1",
        "longitude": "1",
        "lat": "1",
        "lon": "1",
        "q": "Paris",
        "name": "Paris",
        "daily": "weather_code",
    }
    for name in NAMES:
        _ask(provider, path, good | {name: text})


def _ask(provider: str, path: str, query: dict[str, Any]) -> None:
    request = Request(
        method="GET",
        path=path,
        query_string=urlencode({**query, "key": f"sim-{provider}"}).encode(),
        headers=[(b"user-agent", b"test someone@example.org")],
        body=b"",
        client="test",
        now=SIMULATOR.lab.clock.now(),
        serial=1,
        world=SIMULATOR.lab.world,
    )
    assert SIMULATOR.lab.sites[provider].answer(request).reply.status in {200, 400, 403, 404, 422}
