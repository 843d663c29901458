"""Money: exchange rates and conversions. Amounts and rates are exact decimals, text on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated

from msgspec import Meta

from ossature.kernel.errors import NotFound
from ossature.services.hub.domain.shapes import Currency

Amount = Annotated[
    Decimal,
    Meta(
        description="An exact decimal amount, not negative.",
        examples=["100"],
        extra={"ge": 0, "le": 10**15, "max_digits": 30},
    ),
]
_SIX_PLACES = Decimal("0.000001")
_CROSS = Context(prec=10)  # sources give four to six digits; a cross rate has no more truth than they


class CurrencyUnknown(NotFound):
    """The source that was asked has no rate for this currency, or none for that day."""

    title = "Currency unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FxRates:
    """What one unit of a currency is worth in others, now or on a past day."""

    base: Currency
    symbols: Annotated[list[Currency], Meta(max_length=200)] | None = None
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One unit of `base` is worth `rates[X]` units of X."""

    base: str
    rates: Mapping[str, Decimal]
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FxConvert:
    """An amount of one currency in another."""

    amount: Amount
    from_: Currency
    to: Currency
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """`amount` of `from_` is `converted` of `to`, at `rate`, rounded half even to six places."""

    amount: Decimal
    from_: str
    to: str
    rate: Decimal
    converted: Decimal
    as_of: datetime


def narrowed(rates: Rates, symbols: list[str] | None) -> Rates:
    """The rates of the symbols that were asked for; all, if none were. The base itself is left out.

    Raises: CurrencyUnknown, when none of them is there.
    """
    kept = {
        symbol: rate
        for symbol, rate in rates.rates.items()
        if symbol != rates.base and (symbols is None or symbol in symbols)
    }
    if not kept and set(symbols or ()) != {rates.base}:
        raise CurrencyUnknown(f"No rate of {', '.join(symbols or ['any currency'])} for {rates.base}.")
    return Rates(base=rates.base, rates=kept, as_of=rates.as_of)


def rebased(rates: Rates, base: str) -> Rates:
    """The same rates seen from another currency: cross rates through the old base. Raises: CurrencyUnknown."""
    if base == rates.base:
        return rates
    pivot = rates.rates.get(base)
    if not pivot:
        raise CurrencyUnknown(f"No rate for {base}.")
    crossed = {symbol: _CROSS.divide(rate, pivot) for symbol, rate in rates.rates.items() if symbol != base}
    crossed[rates.base] = _CROSS.divide(Decimal(1), pivot)
    return Rates(base=base, rates=crossed, as_of=rates.as_of)


def converted(query: FxConvert, rates: Rates) -> Conversion:
    """The conversion that a source's rates give. Raises: CurrencyUnknown."""
    seen = rebased(rates, query.from_)
    rate = Decimal(1) if query.to == query.from_ else seen.rates.get(query.to)
    if rate is None:
        raise CurrencyUnknown(f"No rate from {query.from_} to {query.to}.")
    return Conversion(
        amount=query.amount,
        from_=query.from_,
        to=query.to,
        rate=rate,
        converted=(query.amount * rate).quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN),
        as_of=rates.as_of,
    )
