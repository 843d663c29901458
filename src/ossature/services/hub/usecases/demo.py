"""Fills a tenant with living data: real questions to whatever outside world there is, so that every page has something true to show."""

from ossature.kernel.context import Ctx
from ossature.kernel.errors import Problem

_CITIES = (
    ("Geneva", 46.2044, 6.1432),
    ("Zurich", 47.3769, 8.5417),
    ("Paris", 48.8566, 2.3522),
    ("Berlin", 52.52, 13.405),
    ("Jerusalem", 31.7683, 35.2137),
    ("Dakar", 14.7167, -17.4677),
)
_CURRENCIES = ("EUR", "USD", "GBP", "ILS", "XOF")


async def fill_demo(ctx: Ctx) -> None:
    """Ask about six cities, their weather and five currencies. What is not answered is left out."""
    for name, latitude, longitude in _CITIES:
        await _asked(ctx, "geo.forward", q=name, limit=3)
        await _asked(ctx, "weather.current", latitude=latitude, longitude=longitude)
        await _asked(ctx, "weather.forecast", latitude=latitude, longitude=longitude, days=3)
    for currency in _CURRENCIES:
        await _asked(ctx, "finance.fx_convert", amount="100", from_="CHF", to=currency)


async def _asked(ctx: Ctx, operation: str, **query: object) -> None:
    try:
        await ctx.ask(operation, query)
    except Problem:
        return  # counted and logged by the engine; the demo goes on with what the world gives
