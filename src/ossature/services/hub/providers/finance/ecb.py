"""European Central Bank: the daily file of euro reference rates. No key.

https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/
"""

from datetime import UTC, date, datetime, time

from ossature.kernel.outbound.decode import day, decimal, xml
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
from ossature.services.hub.domain.finance import Conversion, FxConvert, FxRates, Rates, converted, narrowed, rebased

_CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"


def encode(query: FxRates | FxConvert, account: Account) -> Call:
    """There is one file for everything."""
    del query, account
    return Call("GET", "/stats/eurofxref/eurofxref-daily.xml")


def accepts(query: FxRates | FxConvert) -> str | None:
    """The daily file has no history."""
    return "only the newest rates" if query.on else None


def _rates(reply: Reply) -> Rates:
    root = xml(reply.body)
    dated = next(cube for cube in root.iter(_CUBE) if cube.get("time"))
    on = day(dated.get("time"))
    if on is None:
        msg = "rates without a day"
        raise ValueError(msg)
    said = {str(cube.get("currency")): decimal(cube.get("rate")) for cube in dated.iter(_CUBE) if cube.get("currency")}
    rates = {symbol: rate for symbol, rate in said.items() if rate is not None}
    if not rates:
        msg = "a file without rates"
        raise ValueError(msg)
    return Rates(
        base="EUR",
        rates=rates,
        as_of=datetime.combine(on, time(0), UTC),
    )


def decode_rates(query: FxRates, reply: Reply) -> Rates:
    """The rates of any base: cross rates through the euro."""
    return narrowed(rebased(_rates(reply), query.base), query.symbols)


def decode_convert(query: FxConvert, reply: Reply) -> Conversion:
    """The conversion through the euro."""
    return converted(query, _rates(reply))


provider = Provider(
    Manifest(
        id="ecb",
        title="European Central Bank",
        base_url="https://www.ecb.europa.eu",
        limits=(Limit(limit=60, per_s=3600, scope="ip", evidence="unknown"),),
        licence="Free with attribution",
        attribution="Source: European Central Bank",
        terms=(Term(about="commercial", holds=True), Term(about="caching", holds=True)),
        privacy=Privacy(region="EU"),
        docs="https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=85,
    ),
    {
        "finance.fx_rates": Codec(encode, decode_rates, accepts=accepts),
        "finance.fx_convert": Codec(encode, decode_convert, accepts=accepts),
    },
)
