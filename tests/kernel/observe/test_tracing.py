from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from sqlalchemy import text

from ossature.kernel.cache.memory import Memory
from ossature.kernel.cache.pack import JsonPacking
from ossature.kernel.cache.port import Keep
from ossature.kernel.cache.room import Room
from ossature.kernel.cache.shelf import Shelf
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.observe import export, tracing
from ossature.kernel.observe.settings import ObserveSettings
from tests.collector import collector

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture
def kept() -> Iterator[export.Kept]:
    exporter = export.Kept()
    tracing.configure(exporter, ratio=1)
    yield exporter
    tracing.configure(None, ratio=0)


@pytest.mark.usefixtures("kept")
def test_a_valid_parent_is_continued() -> None:
    span = tracing.begin("GET", PARENT)

    assert span.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.parent_id == "00f067aa0ba902b7"
    assert span.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
    assert span.span_id != span.parent_id


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        PARENT + "\n",
    ],
)
def test_an_invalid_parent_begins_a_new_trace(header: str) -> None:
    span = tracing.begin("GET", header)

    assert span.parent_id == ""
    assert len(span.trace_id) == 32
    assert span.trace_id not in header


def test_a_parent_of_a_later_version_is_continued() -> None:
    assert tracing.begin("GET", "01" + PARENT[2:] + "-more").parent_id == "00f067aa0ba902b7"


def test_the_caller_decides_about_sampling_when_it_is_trusted(kept: export.Kept) -> None:
    assert tracing.begin("GET", PARENT).recording
    assert not tracing.begin("GET", UNSAMPLED).recording

    tracing.configure(kept, ratio=0, trust_sampling=False)
    assert not tracing.begin("GET", PARENT).recording


def test_about_one_in_a_hundred_is_exported_at_one_percent(kept: export.Kept) -> None:
    tracing.configure(kept, ratio=0.01)

    for _ in range(20_000):
        tracing.begin("GET").end()

    assert 100 < len(kept.spans()) < 320


def test_without_an_exporter_nothing_is_recorded() -> None:
    tracing.configure(None, ratio=1)

    assert not tracing.begin("GET", PARENT).recording


def test_parts_form_a_tree(kept: export.Kept) -> None:
    with tracing.job("plan", PARENT) as job, tracing.span("ask", kind="client", attributes={"n": 1}) as part:
        sent = tracing.traceparent()

    ask, plan = kept.spans()
    assert (ask.name, ask.parent_id, ask.attributes) == ("ask", job.span_id, {"n": 1})
    assert (plan.name, plan.parent_id, plan.links) == ("job plan", "00f067aa0ba902b7", (PARENT,))
    assert sent == part.traceparent
    assert tracing.traceparent() is None


def test_a_part_that_fails_says_so(kept: export.Kept) -> None:
    with pytest.raises(KeyError), tracing.job("x", None), tracing.span("part"):
        raise KeyError

    assert [span.problem for span in kept.spans()] == ["KeyError", "KeyError"]


def test_a_failed_job_is_exported_even_when_it_is_not_sampled(kept: export.Kept) -> None:
    with pytest.raises(ValueError, match="no"), tracing.job("x", UNSAMPLED), tracing.span("part"):
        raise ValueError("no")
    with tracing.job("y", UNSAMPLED):
        pass

    [span] = kept.spans()
    assert (span.name, span.trace_id, span.problem) == ("job x", "4bf92f3577b34da6a3ce929d0e0e4736", "ValueError")


def test_parts_of_an_unsampled_trace_cost_no_span_but_pass_the_trace_on(kept: export.Kept) -> None:
    with tracing.job("x", UNSAMPLED) as job, tracing.span("part"):
        assert tracing.traceparent() == job.traceparent
        assert job.traceparent.endswith("-00")

    assert kept.spans() == []


async def test_statements_are_parts_of_the_trace(kept: export.Kept, tmp_path: Path) -> None:
    database = Database(DatabaseSettings(url=f"sqlite:///{tmp_path / 'x.db'}"))
    with tracing.job("x", None) as job:
        async with database.begin() as db:
            await db.scalar(text("SELECT 1"))
    await database.close()

    statement = kept.spans()[0]
    assert (statement.name, statement.parent_id, statement.kind) == ("db.query", job.span_id, "client")
    assert statement.attributes == {"db.system.name": "sqlite", "db.query.text": "SELECT 1"}
    assert statement.ended_ns > statement.started_ns >= job.started_ns


async def test_what_is_fetched_for_the_cache_is_a_part_of_its_part(kept: export.Kept) -> None:
    room = Room("prices", shelf=Shelf(Memory(most_bytes=100_000)), packing=JsonPacking())

    async def fetch() -> int:
        with tracing.span("fetch"):
            return 17

    with tracing.job("x", None) as job:
        assert (await room.get_or_fill("EUR", fetch, Keep(ttl_s=60))).value == 17
        assert (await room.get_or_fill("EUR", fetch, Keep(ttl_s=60))).value == 17  # out of memory: no part

    fetched, filled, _ = kept.spans()
    assert (fetched.name, fetched.parent_id) == ("fetch", filled.span_id)
    assert (filled.name, filled.parent_id, filled.attributes) == ("cache.fill", job.span_id, {"cache.name": "prices"})


def test_a_collector_receives_the_spans() -> None:
    with collector() as received:
        sdk = export.otlp(ObserveSettings(otlp_endpoint=received.url, service_name="house"))
        tracing.configure(sdk, ratio=1)
        with (
            pytest.raises(ValueError, match="no"),
            tracing.job("plan", PARENT) as job,
            tracing.span("ask", kind="client"),
        ):
            raise ValueError("no")
        sdk.close()
        tracing.configure(None, ratio=0)

    ask, plan = received.spans
    assert ask.trace_id.hex() == plan.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (ask.name, ask.parent_span_id.hex(), ask.kind) == ("ask", job.span_id, ProtoSpan.SPAN_KIND_CLIENT)
    assert (plan.name, plan.parent_span_id.hex()) == ("job plan", "00f067aa0ba902b7")
    assert [link.span_id.hex() for link in plan.links] == ["00f067aa0ba902b7"]
    assert (plan.status.code, plan.status.message) == (Status.STATUS_CODE_ERROR, "ValueError")
    assert plan.end_time_unix_nano >= plan.start_time_unix_nano > 0


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    sdk = export.otlp(ObserveSettings(otlp_endpoint="http://127.0.0.1:1", otlp_time_limit_s=0.2))
    tracing.configure(sdk, ratio=1)

    for _ in range(10):
        tracing.begin("GET").end()

    tracing.configure(None, ratio=0)
    sdk.close()
