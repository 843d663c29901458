"""ExchangeRate-API, open access: rates of a base, refreshed once a day. No key. https://www.exchangerate-api.com/docs/free"""

from datetime import date
from decimal import Decimal

from ossature.kernel.outbound.decode import decimal, epoch, quoted, required
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
from ossature.services.hub.domain.finance import Conversion, FxConvert, FxRates, Rates, converted, narrowed

_REFUSALS = {"unsupported-code": ErrorKind.NOT_FOUND, "malformed-request": ErrorKind.BAD_REQUEST}


def encode_rates(query: FxRates, account: Account) -> Call:
    """Every rate of a base comes in one answer."""
    del account
    return Call("GET", f"/latest/{quoted(query.base)}")


def encode_convert(query: FxConvert, account: Account) -> Call:
    """The conversion needs the same answer."""
    del account
    return Call("GET", f"/latest/{quoted(query.from_)}")


def accepts(query: FxRates | FxConvert) -> str | None:
    """There is no history."""
    return "only today's rates" if query.on else None


def _rates(reply: Reply) -> Rates:
    document = reply.json(exact=True)
    as_of = epoch(document["time_last_update_unix"])
    if as_of is None:
        msg = "rates without a time"
        raise ValueError(msg)
    rates: dict[str, Decimal] = {}
    for symbol, value in document["rates"].items():
        rate = decimal(value)
        if rate is not None and rate > 0:
            rates[symbol] = rate
    if not rates:
        msg = "an answer without rates"
        raise ValueError(msg)
    return Rates(base=required(document["base_code"]), rates=rates, as_of=as_of)


def decode_rates(query: FxRates, reply: Reply) -> Rates:
    """The rates, without the base itself."""
    return narrowed(_rates(reply), query.symbols)


def decode_convert(query: FxConvert, reply: Reply) -> Conversion:
    """The conversion at that rate."""
    return converted(query, _rates(reply))


def refusal(reply: Reply) -> Refusal | None:
    """`{"result": "error", "error-type": ...}`, also with status 200."""
    if not reply.body.lstrip().startswith(b"{"):
        return None
    document = reply.json()
    if document.get("result") != "error":
        return None
    said = str(document.get("error-type", ""))
    kind = _REFUSALS.get(said, ErrorKind.UPSTREAM_5XX if reply.ok else None)
    return Refusal(kind, said) if kind is not None else None


provider = Provider(
    Manifest(
        id="open_er_api",
        title="ExchangeRate-API (open access)",
        base_url="https://open.er-api.com/v6",
        limits=(Limit(limit=1_500, per_s=30 * 86_400, kind="fixed", scope="ip", evidence="second_hand"),),
        attribution="Rates by Exchange Rate API (https://www.exchangerate-api.com)",
        terms=(Term(about="attribution", holds=None), Term(about="caching", holds=None)),
        privacy=Privacy(leaves=("currency codes",)),
        docs="https://www.exchangerate-api.com/docs/free",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=60,
    ),
    {
        "finance.fx_rates": Codec(encode_rates, decode_rates, refusal, accepts=accepts),
        "finance.fx_convert": Codec(encode_convert, decode_convert, refusal, accepts=accepts),
    },
)
