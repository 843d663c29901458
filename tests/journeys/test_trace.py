"""One trace from the client to a stranger's server, through processes that share nothing but a database and a broker."""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from ossature.sim.app import create
from ossature.sim.run import started
from tests.collector import Collector, Received, collector
from tests.conftest import run_sql
from tests.journeys.product import Receiver, Tree, until

RELAY = str(Path(__file__).with_name("relay.py"))
pytestmark = pytest.mark.journey


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """URL of a database without a table."""
    name = f"ossature_test_{uuid4().hex[:12]}"
    run_sql(f'CREATE DATABASE "{name}"')
    yield f"{postgres_server.rpartition('/')[0]}/{name}".replace("postgresql://", "postgresql+asyncpg://")
    run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(params=["table", "redis", "rabbitmq"])
def transport(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of one way to wake workers: SQLite alone, or PostgreSQL with a broker."""
    if request.param == "table":
        return {}
    return {
        "OSSATURE_DATABASE_URL": request.getfixturevalue("empty_postgres"),
        "OSSATURE_JOBS_TRANSPORT": request.param,
        "OSSATURE_JOBS_BROKER_URL": request.getfixturevalue(f"{request.param}_url"),
        "OSSATURE_JOBS_BROKER_PREFIX": f"test.{uuid4().hex[:8]}",
    }


def test_one_trace_goes_from_the_client_through_two_processes_to_the_receiver(
    tmp_path: Path, transport: dict[str, str], receiver: Receiver
) -> None:
    trace_id, client_span = token_hex(16), token_hex(8)
    with collector() as arrived, started(create(seed=1)) as sim_url:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": arrived.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OSSATURE_HUB_SIM_URL": sim_url,
            "OSSATURE_OUTBOUND_PRIVATE_HOSTS": receiver.host,
            **transport,
        }
        with Tree(tmp_path, environment, program=(RELAY,)) as tree:
            status, endpoint = tree.ask("POST", "/v1/webhooks", {"url": receiver.url, "events": ["parcel.*"]})
            assert status == 201, endpoint
            sampled = {"traceparent": f"00-{trace_id}-{client_span}-01"}
            status, accepted = tree.ask("POST", "/v1/relay/parcels/p1", headers=sampled)
            assert status == 202, accepted
            until(lambda: bool(receiver.received), "the webhook came")
            until(lambda: _webhook_spans(arrived, trace_id) != [], "its span was exported")
            pids = {verb: process.pid for verb, process in tree.processes.items()}

    headers, body = receiver.received[0]
    assert Webhook(endpoint["secret"]).verify(body, headers)["data"]["parcel"] == "p1"
    spans = arrived.of_trace(trace_id)
    by_id = {one.span.span_id.hex(): one for one in spans}
    (sent,) = _webhook_spans(arrived, trace_id)
    assert headers["traceparent"] == f"00-{trace_id}-{sent.span.span_id.hex()}-01", "the receiver continues the trace"

    way = [sent]
    while (parent := way[-1].span.parent_span_id.hex()) != client_span:
        way.append(by_id[parent])
    told = [one.span.name for one in reversed(way)]
    assert told == [
        "POST /v1/relay/parcels/{parcel}", "job relay.carry", "job webhooks.deliver", "webhook.deliver",
    ]  # fmt: skip
    assert [_pid(one) for one in reversed(way)] == [pids["serve"], pids["worker"], pids["worker"], pids["worker"]]
    carry = way[-2]
    assert [link.span_id.hex() for link in carry.span.links] == [way[-1].span.span_id.hex()]
    (filled,) = [one for one in spans if one.span.name == "cache.fill"]
    assert filled.span.parent_span_id == carry.span.span_id
    (asked,) = [one for one in spans if one.span.name == "outbound weather.current"]
    assert asked.span.parent_span_id == filled.span.span_id
    assert asked.attributes["provider"] == "open_meteo"
    queries = {_pid(one) for one in spans if one.span.name == "db.query"}
    assert {pids["serve"], pids["worker"]} <= queries, "statements of both processes are parts of it"
    assert all(parent_of(one) in {client_span, *by_id} for one in spans), "one tree, nothing loose"


def parent_of(one: Received) -> str:
    return one.span.parent_span_id.hex()


def _pid(one: Received) -> int:
    return int(one.process["process.pid"])


def _webhook_spans(arrived: Collector, trace_id: str) -> list[Received]:
    return [one for one in arrived.of_trace(trace_id) if one.span.name == "webhook.deliver"]
