import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ossature.kernel.context import ANONYMOUS, SYSTEM_TENANT
from ossature.kernel.db.statistics import Statistics
from ossature.kernel.http.ports import Exchange, Identity, Observer, Tracer
from ossature.kernel.observe import export, metrics, tracing
from ossature.kernel.observe.edge import EdgeObserver, EdgeTracer
from ossature.kernel.observe.logs import AccessLog, ids
from ossature.kernel.observe.writer import LineWriter


@pytest.fixture
def kept() -> Iterator[export.Kept]:
    exporter = export.Kept()
    tracing.configure(exporter, ratio=0)
    yield exporter
    tracing.configure(None, ratio=0)
    tracing.current.set(None)
    ids.set({})


def an_exchange(**changed: Any) -> Exchange:
    facts: dict[str, Any] = {
        "request_id": "r1",
        "method": "GET",
        "path": "/v1/jobs/7",
        "ip": "192.0.2.1",
        "started": 0.0,
    }
    return Exchange(**{**facts, "route": "/v1/jobs/{id}", "status": 200, "duration_s": 0.0123, **changed})


def written(exchange: Exchange) -> dict[str, Any]:
    stream = io.BytesIO()
    writer = LineWriter(stream)
    observer: Observer = EdgeObserver(AccessLog(writer))
    observer(exchange)
    writer.flush()
    line: dict[str, Any] = orjson.loads(stream.getvalue())
    return line


def test_every_request_has_ids_also_when_it_is_not_sampled(kept: export.Kept) -> None:
    tracer: Tracer = EdgeTracer()
    exchange = an_exchange()

    tracer.begin(exchange, None)
    tracer.end(exchange)

    assert len(exchange.trace_id) == 32
    assert exchange.traceparent == f"00-{exchange.trace_id}-{exchange.span.span_id}-00"
    assert kept.spans() == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [({"status": 503, "problem": "unavailable"}, "unavailable"), ({"error": KeyError("x")}, "KeyError")],
)
def test_a_failure_is_exported_although_it_is_not_sampled(
    kept: export.Kept, changed: dict[str, Any], problem: str
) -> None:
    tracer, exchange = EdgeTracer(), an_exchange(**changed)

    tracer.begin(exchange, None)
    tracer.end(exchange)

    [span] = kept.spans()
    assert (span.name, span.problem, span.kind) == ("GET /v1/jobs/{id}", problem, "server")
    assert span.attributes["http.route"] == "/v1/jobs/{id}"


def test_lines_inside_of_a_request_carry_its_ids_also_those_that_are_known_later(kept: export.Kept) -> None:
    tracer, exchange = EdgeTracer(), an_exchange()

    tracer.begin(exchange, None)
    before = dict(ids.get())
    exchange.identity = Identity(SYSTEM_TENANT, ANONYMOUS, "key:7")
    after = dict(ids.get())
    tracer.end(exchange)

    assert before == {"request_id": "r1"}
    assert after == {"request_id": "r1", "tenant_id": str(SYSTEM_TENANT.id)}
    assert kept.spans() == []


@pytest.mark.usefixtures("kept")
def test_open_requests_are_counted() -> None:
    tracer, exchange, before = EdgeTracer(), an_exchange(), metrics.requests.open

    tracer.begin(exchange, None)
    during = metrics.requests.open
    tracer.end(exchange)

    assert (during, metrics.requests.open) == (before + 1, before)


def test_a_refusal_is_no_failure_of_ours(kept: export.Kept) -> None:
    tracer, exchange = EdgeTracer(), an_exchange(status=404)

    tracer.begin(exchange, None)
    tracer.end(exchange)

    assert kept.spans() == []


def test_the_access_log_names_the_route_and_who_asked() -> None:
    identity = Identity(SYSTEM_TENANT, ANONYMOUS, "key:7")
    statistics = Statistics(count=3, total_ms=1.234)
    ctx = SimpleNamespace(db=SimpleNamespace(statistics=statistics))

    line = written(an_exchange(identity=identity, ctx=ctx))

    assert (line["route"], line["status"], line["ms"], line["subject"]) == ("/v1/jobs/{id}", 200, 12.3, "key:7")
    assert (line["statements"], line["db_ms"]) == (3, 1.23)
    assert "path" not in line


def test_the_path_of_a_refusal_is_written_without_personal_data() -> None:
    assert written(an_exchange(status=404, path="/v1/users/jo@example.org"))["path"] == "/v1/users/[email]"
