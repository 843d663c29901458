"""Frankfurter: https://frankfurter.dev. The European Central Bank's reference rates of working days, any base."""

from collections.abc import Mapping
from datetime import date, timedelta

from ossature.sim.provider import Provider, Route
from ossature.sim.wire import Reason, Refusal, Reply, Request, json_reply, retry_after
from ossature.sim.world.rates import EURO_REFERENCE, NAMES, Rates, published_on, significant, working_day

_FIRST_DAY = date(1999, 1, 4)
_MAX_SERIES_DAYS = 366


def _not_found() -> Reply:
    return json_reply({"message": "not found"}, status=404)


def quotes(rates: Rates, base: str, *, on: date, amount: float = 1.0) -> dict[str, float]:
    """Return the amount of the base in every other currency of the bank, five significant digits."""
    euro = {code: significant(rates.per_euro(code, on), 5) for code in EURO_REFERENCE} | {"EUR": 1.0}
    return {code: significant(amount * euro[code] / euro[base], 5) for code in sorted(euro) if code != base}


class _Question:
    """Base, symbols and amount of a question, with the old names `from` and `to` also understood."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self.base = query.get("base", query.get("from", "EUR")).upper()
        symbols = query.get("symbols", query.get("to", query.get("quotes", "")))
        self.symbols = frozenset(symbol for symbol in symbols.upper().split(",") if symbol)
        try:
            self.amount = float(query.get("amount", "1"))
        except ValueError:
            self.amount = 0.0

    @property
    def is_answerable(self) -> bool:
        """Whether the base is known, something of the rest is, and the amount is a positive number."""
        known = {*EURO_REFERENCE, "EUR"}
        wanted = self.symbols - {self.base}
        return self.base in known and self.amount > 0 and (not self.symbols or bool(wanted & known))

    def rates(self, rates: Rates, on: date) -> dict[str, float]:
        """Return the rates asked for on that day; unknown symbols are left out."""
        found = quotes(rates, self.base, on=on, amount=self.amount)
        return {code: rate for code, rate in found.items() if not self.symbols or code in self.symbols}


def _on(request: Request, day: date) -> Reply:
    question = _Question(request.query())
    if not question.is_answerable:
        return _not_found()
    rates = question.rates(request.world.rates, day)
    return json_reply({"amount": question.amount, "base": question.base, "date": day.isoformat(), "rates": rates})


def _latest(request: Request) -> Reply:
    return _on(request, published_on(request.now))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _past(request: Request) -> Reply:
    first_text, dots, last_text = request.args["date"].partition("..")
    latest = published_on(request.now)
    first = _day(first_text)
    last = _day(last_text) if last_text else latest
    if first is None or last is None or first < _FIRST_DAY:
        return _not_found()
    if not dots:
        return _on(request, min(working_day(first), latest))
    question = _Question(request.query())
    days = [first + timedelta(days=day) for day in range(min((min(last, latest) - first).days + 1, _MAX_SERIES_DAYS))]
    working = [day for day in days if working_day(day) == day]
    if not question.is_answerable or not working:
        return _not_found()
    return json_reply(
        {
            "amount": question.amount,
            "base": question.base,
            "start_date": working[0].isoformat(),
            "end_date": working[-1].isoformat(),
            "rates": {day.isoformat(): question.rates(request.world.rates, day) for day in working},
        }
    )


def _currencies(_: Request) -> Reply:
    return json_reply(dict(NAMES))


def _rows(request: Request) -> Reply:
    question = _Question(request.query())
    if not question.is_answerable:
        return json_reply({"message": "invalid currency"}, status=422)
    asked = request.query().get("date")
    latest = published_on(request.now)
    day = min(working_day(_day(asked) or latest), latest) if asked else latest
    rates = question.rates(request.world.rates, day)
    return json_reply(
        [{"date": day.isoformat(), "base": question.base, "quote": code, "rate": rate} for code, rate in rates.items()]
    )


_MESSAGES = {404: "not found", 405: "method not allowed", 429: "too many requests"}


def refuse(no: Refusal) -> Reply:
    """Say no as Frankfurter does: one message."""
    message = _MESSAGES.get(no.status, "internal server error")
    return json_reply({"message": message}, status=no.status, headers=retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put the message of a failure under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="frankfurter",
    routes=(
        Route("GET", "/v1/latest", "finance.fx_rates", _latest, vital="rates"),
        Route("GET", "/v1/currencies", "finance.fx_currencies", _currencies, vital="EUR"),
        Route("GET", "/v1/{date}", "finance.fx_rates", _past, vital="rates"),
        Route("GET", "/v2/rates", "finance.fx_rates", _rows, vital="*.rate"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
)
