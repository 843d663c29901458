"""What Prometheus sees of a product of several processes, and what the shipped rules make of it."""

import http.client
import json
import secrets
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from ossature.sim.app import create
from ossature.sim.run import started
from tests.conftest import missing
from tests.journeys.product import ANSWER_LIMIT_S, Tree, until
from tests.journeys.watch import RULES, Ask, hurried, prometheus

pytestmark = pytest.mark.journey

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
TOKEN = secrets.token_urlsafe()
KEYS = {"OSSATURE_HUB_KEY_OPENAI": "sim-openai", "OSSATURE_HUB_CONTACT": "operator@example.org"}
LISTENED_S = 2.0
EVERYTHING = (
    "http_request_duration_seconds", "http_requests", "http_requests_in_progress", "http_stream_duration_seconds",
    "http_streams_open", "process_cpu_seconds", "process_resident_memory_bytes", "db_pool_size", "db_pool_in_use",
    "cache_hits", "cache_misses", "outbound_attempts", "outbound_attempt_duration_seconds", "outbound_cost_microusd",
    "business_requests", "business_cost", "business_cost_per_request", "quotas_usage_written",
)  # fmt: skip


def test_promtool_accepts_the_rules_and_their_tests(tmp_path: Path) -> None:
    installed = shutil.copytree(SHIPPED, tmp_path / "prometheus")
    (installed / "metrics-token").write_text(TOKEN)
    _promtool("check", "config", str(installed / "prometheus.yml"))
    _promtool("check", "rules", *map(str, RULES))
    _promtool("test", "rules", *map(str, sorted((SHIPPED / "tests").glob("*.yml"))))


def test_a_real_prometheus_reads_every_process_and_the_rules_give_values(tmp_path: Path) -> None:
    with started(create(seed=1)) as sim_url:
        environment = {"OSSATURE_HUB_SIM_URL": sim_url, "OSSATURE_AUTH_METRICS_TOKEN": TOKEN, **KEYS}
        with Tree(tmp_path, environment, web_processes=2) as tree, _watched(tmp_path, tree) as ask:
            _live(tree)
            key = _key_of_project(tree, "blue")
            asked, limit = 0, time.monotonic() + 200
            while not _all_there(ask):
                asked += _traffic(tree, key)
                assert time.monotonic() < limit, [rule for rule in _recorded() if not ask(rule)]
                time.sleep(1)
            # Each process hands its figures over once a second, and writes its usage twice.
            until(lambda: _told_of(tree.page("/metrics")) == (asked, asked), "both web processes are in one page")
            page, worker_page = tree.page("/metrics"), tree.page("/metrics", worker=True)
            assert tree.page("/prometheus/metrics-http").partition("\n")[0] == page.partition("\n")[0]
            quantiles = [ask(f"job:http_request_duration_seconds:{q}")[0] for q in ("p50", "p95", "p99")]
            cost = ask("project:business_cost_per_request:ratio1h")

    for text in (page, worker_page):
        _promtool("check", "metrics", given=text)
    values = _values(page)
    assert not [name for name in EVERYTHING if name not in values]
    assert {"jobs_finished", "jobs_pickup_seconds", "jobs_waiting"} <= _values(worker_page).keys()
    p50, p95, p99 = (float(one["value"][1]) for one in quantiles)
    assert 0 < p50 <= p95 <= p99 < 10
    assert [one["metric"]["project"] for one in cost] == ["main/blue"]
    spent = values["business_cost"][("hub", "main/blue")]
    assert float(cost[0]["value"][1]) == pytest.approx(spent / asked, rel=0.5)
    # Two streams were held open for seconds; no time of an answer says so.
    lived = values["http_stream_duration_seconds"]
    assert lived[("websocket", "/v1/live")] >= LISTENED_S
    assert lived[("events", "/v1/live/events")] >= LISTENED_S
    assert not [where for where in values["http_request_duration_seconds"] if "/v1/live" in where[1]]


def _watched(folder: Path, tree: Tree) -> AbstractContextManager[Ask]:
    """A Prometheus with the shipped rules that reads all processes."""
    targets = {"ossature": tree.port, "ossature-worker": tree.probe_port}
    return prometheus(folder, targets, token=TOKEN, rules=hurried(folder))


def _live(tree: Tree) -> None:
    """Listen for a while, through both doors."""
    with connect(f"ws://127.0.0.1:{tree.port}/v1/live", subprotocols=["ossature.live.v1"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "hello", "token": tree.key, "topics": []}))
        socket.recv(ANSWER_LIMIT_S)
        connection = http.client.HTTPConnection("127.0.0.1", tree.port, timeout=ANSWER_LIMIT_S)
        connection.request("GET", "/v1/live/events", headers={"Authorization": f"Bearer {tree.key}"})
        assert connection.getresponse().status == 200
        time.sleep(LISTENED_S)
        connection.close()


def _key_of_project(tree: Tree, slug: str) -> str:
    status, project = tree.ask("POST", "/v1/projects", {"slug": slug, "name": slug})
    assert status == 201, project
    wanted = {"name": slug, "roles": ["admin"], "project_id": project["id"]}
    status, made = tree.ask("POST", "/v1/auth/keys", wanted)
    assert status == 201, made
    return str(made["secret"])


def _traffic(tree: Tree, key: str) -> int:
    """Questions that cost something, one that the cache answers the second time, a job; how many of the first."""
    of_project = {"Authorization": f"Bearer {key}"}
    messages = [{"role": "user", "content": "How are you?"}]
    for _ in range(4):
        body = {"model": "openai/gpt-4o-mini", "messages": messages}
        status, answer = tree.ask("POST", "/v1/chat/completions", body, of_project)
        assert status == 200, answer
    assert tree.ask("POST", "/v1/schedules/auth.alert_ending_keys/run")[0] in {200, 202}
    for _ in range(2):
        assert tree.ask("GET", "/v1/hub/weather/current?latitude=46.2&longitude=6.1")[0] == 200
    return 4


def _recorded() -> list[str]:
    """The names of the figures that are recorded, and of those of the service levels."""
    told = "".join(path.read_text() for path in RULES)
    return sorted({line.split()[-1] for line in told.splitlines() if "- record:" in line})


def _all_there(ask: Ask) -> bool:
    return all(ask(rule) for rule in _recorded())


def _values(page: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of a page by family and labels: of counters their totals, of histograms their sums."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(page):
        of_family = found.setdefault(family.name, {})
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_count", "_created")):
                names = [name for name in ("service", "kind", "method", "endpoint", "project") if name in sample.labels]
                where = tuple(sample.labels[name] for name in names)
                of_family[where] = of_family.get(where, 0.0) + sample.value
    return found


def _told_of(page: str) -> tuple[float, float]:
    """How many chats were asked for, and how many of them were paid for by the project, as a page has it."""
    values = _values(page)
    chats = values["http_requests"].get(("POST", "/v1/chat/completions"), 0)
    return chats, values["business_requests"].get(("hub", "main/blue"), 0)


def _promtool(*arguments: str, given: str = "") -> None:
    if shutil.which("promtool") is None:
        missing("promtool (Debian package prometheus)")
    checked = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
