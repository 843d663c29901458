"""Frankfurter: reference rates of the European Central Bank, now and on past days. No key. https://frankfurter.dev"""

from datetime import UTC, date, datetime, time
from decimal import Decimal

from ossature.kernel.outbound.decode import day, decimal, required
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
from ossature.services.hub.domain.finance import Conversion, FxConvert, FxRates, Rates, converted, narrowed


def encode_rates(query: FxRates, account: Account) -> Call:
    """Ask for one base and, if so, only some symbols."""
    del account
    symbols = [symbol for symbol in query.symbols or () if symbol != query.base]
    return _call(query.on, query.base, symbols)


def encode_convert(query: FxConvert, account: Account) -> Call:
    """Ask for the one rate that the conversion needs."""
    del account
    return _call(query.on, query.from_, [query.to] if query.to != query.from_ else [])


def _call(on: date | None, base: str, symbols: list[str]) -> Call:
    return Call(
        "GET",
        f"/v1/{on.isoformat() if on else 'latest'}",
        query={"base": base, "symbols": ",".join(symbols) or None},
    )


def _rates(reply: Reply) -> Rates:
    document = reply.json(exact=True)
    on = day(document["date"])
    if on is None:
        msg = "rates without a day"
        raise ValueError(msg)
    return Rates(
        base=required(document["base"]),
        rates={symbol: _rate(value) for symbol, value in document["rates"].items()},
        as_of=datetime.combine(on, time(0), UTC),
    )


def _rate(value: object) -> Decimal:
    rate = decimal(value)
    if rate is None or rate <= 0:
        msg = f"{value!r} is no rate"
        raise ValueError(msg)
    return rate


def decode_rates(query: FxRates, reply: Reply) -> Rates:
    """The rates of a working day; on other days those of the last one."""
    return narrowed(_rates(reply), query.symbols)


def decode_convert(query: FxConvert, reply: Reply) -> Conversion:
    """The conversion at that rate."""
    return converted(query, _rates(reply))


provider = Provider(
    Manifest(
        id="frankfurter",
        title="Frankfurter",
        base_url="https://api.frankfurter.dev",
        limits=(Limit(limit=60, per_s=60, scope="ip", evidence="unknown"),),
        licence="ECB reference rates, free with attribution",
        attribution="European Central Bank via Frankfurter",
        terms=(Term(about="commercial", holds=True), Term(about="caching", holds=True)),
        privacy=Privacy(leaves=("currency codes",), region="EU"),
        docs="https://frankfurter.dev",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=80,
    ),
    {
        "finance.fx_rates": Codec(encode_rates, decode_rates),
        "finance.fx_convert": Codec(encode_convert, decode_convert),
    },
)
