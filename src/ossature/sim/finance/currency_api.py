"""Currency API on a static host: https://github.com/fawazahmed0/exchange-api. Lower-case codes, one file per base."""

from ossature.sim.provider import Provider, Route
from ossature.sim.wire import Reason, Refusal, Reply, Request, json_reply, text_reply
from ossature.sim.world.rates import ELSEWHERE, EURO_REFERENCE, NAMES

_CODES = tuple(sorted({*EURO_REFERENCE, *ELSEWHERE, "EUR"}))


def _rates(request: Request) -> Reply:
    base = request.args["base"].removesuffix(".min")
    # The host is case-sensitive: only the lower-case file exists.
    if base.upper() not in _CODES or base != base.lower():
        return refuse(Refusal(reason=Reason.NO_SUCH_PATH, status=404))
    day = request.now.date()
    rates, lean = request.world.rates, request.world.lean
    euro = {code: rates.per_euro(code, day) * (1.0 + lean("currency_api", code, by=0.0004)) for code in _CODES}
    euro["EUR"] = 1.0
    quoted = {code.lower(): round(euro[code] / euro[base.upper()], 8) for code in _CODES}
    return json_reply({"date": day.isoformat(), base: quoted | {base: 1}})


def _currencies(_: Request) -> Reply:
    return json_reply({code.lower(): NAMES.get(code, "") for code in _CODES})


def refuse(no: Refusal) -> Reply:
    """Say no as a static host does: a page."""
    text = {404: "Not Found", 405: "Method Not Allowed", 429: "Too Many Requests"}.get(no.status, "Internal Error")
    page = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{no.status} {text}</h1></body></html>"
    return text_reply(page, status=no.status, content_type="text/html")


def error_in_200() -> Reply:
    """Answer with the host's page under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="currency_api",
    routes=(
        Route("GET", "/currencies.json", "finance.fx_currencies", _currencies, vital="eur"),
        Route("GET", "/currencies/{base}.json", "finance.fx_rates", _rates, vital="*"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
)
