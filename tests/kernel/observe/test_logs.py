import io
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog

from ossature.kernel.observe import logs, tracing
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.observe.writer import LineWriter

Read = Callable[[], list[dict[str, Any]]]
Setup = Callable[..., Read]


@pytest.fixture
def logging_to() -> Iterator[Setup]:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def setup(secrets: tuple[str, ...] = (), **settings: Any) -> Read:
        stream = io.BytesIO()
        writer = logs.configure(ObserveSettings(log_format="json", **settings), stream=stream, secrets=secrets)

        def read() -> list[dict[str, Any]]:
            writer.flush()
            return [orjson.loads(line) for line in stream.getvalue().splitlines()]

        return read

    yield setup
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    tracing.configure(None, ratio=0)


def test_a_line_has_time_level_event_and_fields(logging_to: Setup) -> None:
    read = logging_to()

    structlog.get_logger().info("plan.stored", trips=12)

    [line] = read()
    assert list(line)[:3] == ["at", "level", "event"]
    assert line["at"].endswith("Z")
    assert (line["level"], line["event"], line["trips"]) == ("info", "plan.stored", 12)


def test_a_line_below_the_level_is_not_written(logging_to: Setup) -> None:
    read = logging_to(log_level="warning")

    structlog.get_logger().info("a")
    structlog.get_logger().warning("b")

    assert [line["event"] for line in read()] == ["b"]


def test_a_line_carries_the_ids_of_what_it_belongs_to(logging_to: Setup) -> None:
    read = logging_to()
    tracing.configure(lambda _: None, ratio=1)

    with logs.bound(request_id="r1", tenant_id="t1"), tracing.job("x", None) as span:
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")

    inside, outside = read()
    assert (inside["request_id"], inside["tenant_id"]) == ("r1", "t1")
    assert (inside["trace_id"], inside["span_id"]) == (span.trace_id, span.span_id)
    assert not {"request_id", "trace_id"} & set(outside)


def test_secrets_and_personal_data_are_hidden_also_in_tracebacks(logging_to: Setup) -> None:
    read = logging_to(secrets=("canary-0123456789",))

    try:
        int("canary-0123456789 of jo@example.org")
    except ValueError:
        structlog.get_logger().exception("failed", password="hunter22", text="canary-0123456789")

    [line] = read()
    assert "canary" not in str(line)
    assert "jo@example.org" not in str(line)
    assert line["password"] == "[hidden]"
    assert "ValueError" in line["exception"]


def test_lines_of_other_libraries_come_out_in_the_same_form(logging_to: Setup) -> None:
    read = logging_to()

    logging.getLogger("some.library").warning("disk %s", "full")

    [line] = read()
    assert (line["event"], line["logger"], line["said"], line["level"]) == (
        "library.said", "some.library", "disk full", "warning",
    )  # fmt: skip


def test_a_burst_of_one_event_is_thinned_and_says_how_many_are_missing(logging_to: Setup) -> None:
    read = logging_to(log_burst=10)
    log = structlog.get_logger()

    for _ in range(500):
        log.info("noisy")
    log.error("noisy")
    log.info("rare")
    time.sleep(1.01)
    log.info("noisy")

    lines = read()
    noisy = [line for line in lines if line["event"] == "noisy" and line["level"] == "info"]
    assert 10 <= len(noisy) <= 40
    assert sum(line.get("suppressed", 0) for line in noisy) + len(noisy) == 501
    assert [line["event"] for line in lines if line["level"] == "error"] == ["noisy"]
    assert "rare" in [line["event"] for line in lines]


def test_a_terminal_gets_lines_for_people_in_the_chosen_zone() -> None:
    render = logs.ForPeople("Asia/Tokyo", colors=False)

    line = render({"at": "2026-03-01T23:30:00Z", "level": "info", "event": "plan.stored", "trips": 12}).decode()

    assert line.startswith("08:30:00.000")
    assert "plan.stored" in line
    assert "trips=12" in line


def test_warnings_are_out_at_once_and_information_within_the_flush_time() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream, flush_s=0.05)

    writer.write(b"a\n")
    assert stream.getvalue() == b""
    writer.write(b"b\n", now=True)
    assert stream.getvalue() == b"a\nb\n"
    writer.write(b"c\n")
    time.sleep(0.3)

    assert stream.getvalue() == b"a\nb\nc\n"


def test_a_closed_stream_loses_lines_and_nothing_else() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream)
    stream.close()

    writer.write(b"a\n", now=True)

    assert writer.dropped == 1


def test_nothing_is_lost_when_a_process_ends() -> None:
    code = (
        "import structlog; from ossature.kernel.observe import logs; from ossature.kernel.observe.settings import ObserveSettings\n"
        "logs.configure(ObserveSettings(log_format='json', log_flush_s=10))\n"
        "for n in range(100): structlog.get_logger().info('line', n=n)"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert [orjson.loads(line)["n"] for line in ended.stderr.splitlines()] == list(range(100))


def test_the_access_log_writes_one_line_per_exchange() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream)

    logs.AccessLog(writer)({"method": "GET", "route": "/v1/x/{id}", "status": 200, "ms": 1.5})
    writer.flush()

    line = orjson.loads(stream.getvalue())
    assert (line["event"], line["route"], line["status"]) == ("http.request", "/v1/x/{id}", 200)
