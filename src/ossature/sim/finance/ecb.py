"""European Central Bank, daily reference rates as an XML file: base EUR, working days, about 16:00 CET."""

from datetime import date

from ossature.sim.provider import Provider, Route
from ossature.sim.wire import Reason, Refusal, Reply, Request, text_reply
from ossature.sim.world.rates import EURO_REFERENCE, Rates, published_on, significant

_FILE = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" \
xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
\t<gesmes:subject>Reference rates</gesmes:subject>
\t<gesmes:Sender>
\t\t<gesmes:name>European Central Bank</gesmes:name>
\t</gesmes:Sender>
\t<Cube>
\t\t<Cube time='{day}'>
{rows}
\t\t</Cube>
\t</Cube>
</gesmes:Envelope>"""


def _write(rates: Rates, day: date) -> str:
    rows = [
        f"\t\t\t<Cube currency='{code}' rate='{significant(rates.per_euro(code, day), 5):g}'/>"
        for code in EURO_REFERENCE
    ]
    return _FILE.format(day=day.isoformat(), rows="\n".join(rows))


def _daily(request: Request) -> Reply:
    return text_reply(_write(request.world.rates, published_on(request.now)), content_type="text/xml")


def refuse(no: Refusal) -> Reply:
    """Say no as the bank's web site does: a page."""
    text = f"<!DOCTYPE html><html><body><h1>Error {no.status}</h1><p>The page cannot be shown.</p></body></html>"
    return text_reply(text, status=no.status, content_type="text/html")


def error_in_200() -> Reply:
    """Answer with a page under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="ecb",
    routes=(Route("GET", "/stats/eurofxref/eurofxref-daily.xml", "finance.fx_rates", _daily, vital="rate"),),
    refuse=refuse,
    error_in_200=error_in_200,
)
