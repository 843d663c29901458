"""ExchangeRate-API, open access: https://www.exchangerate-api.com/docs/free. One refresh a day, just after midnight."""

from datetime import datetime, timedelta

from ossature.sim.limits import Limit
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import Reason, Refusal, Reply, Request, json_reply, retry_after
from ossature.sim.world.rates import ELSEWHERE, EURO_REFERENCE

_REFRESHED_S = 151


def _stamp(at: datetime) -> str:
    return at.strftime("%a, %d %b %Y %H:%M:%S +0000")


def _latest(request: Request) -> Reply:
    base = request.args["base"].upper()
    codes = sorted({*EURO_REFERENCE, *ELSEWHERE, "EUR"})
    if base not in codes:
        return _no("unsupported-code", 404)
    updated = request.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=_REFRESHED_S)
    following = updated + timedelta(days=1, minutes=25)
    rates, lean = request.world.rates, request.world.lean
    euro = {code: rates.per_euro(code, request.now.date()) for code in codes}
    euro |= {
        code: value * (1.0 + lean("open_er_api", code, by=0.0004)) for code, value in euro.items() if code != "EUR"
    }
    quoted = {code: round(euro[code] / euro[base], 6) for code in codes if code != base}
    return json_reply(
        {
            "result": "success",
            "provider": "https://www.exchangerate-api.com",
            "documentation": "https://www.exchangerate-api.com/docs/free",
            "terms_of_use": "https://www.exchangerate-api.com/terms",
            "time_last_update_unix": int(updated.timestamp()),
            "time_last_update_utc": _stamp(updated),
            "time_next_update_unix": int(following.timestamp()),
            "time_next_update_utc": _stamp(following),
            "time_eol_unix": 0,
            "base_code": base,
            "rates": {base: 1} | quoted,
        }
    )


def _no(kind: str, status: int, *, retry_after_s: int | None = None) -> Reply:
    return json_reply({"result": "error", "error-type": kind}, status=status, headers=retry_after(retry_after_s))


_KINDS = {404: "malformed-request", 405: "malformed-request", 429: "quota-reached"}


def refuse(no: Refusal) -> Reply:
    """Say no as ExchangeRate-API does."""
    return _no(_KINDS.get(no.status, "unknown-error"), no.status, retry_after_s=no.retry_after_s)


def error_in_200() -> Reply:
    """Put the error under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="open_er_api",
    routes=(Route("GET", "/latest/{base}", "finance.fx_rates", _latest, vital="rates"),),
    refuse=refuse,
    error_in_200=error_in_200,
    limits=(Limit(1_500, "month"),),
)
