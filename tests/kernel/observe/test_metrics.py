import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ossature.kernel.observe import metrics, multiprocess
from ossature.kernel.service import Objective
from tests.conftest import missing

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(page: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def now() -> Samples:
    metrics.refresh()
    return read(metrics.render())


def labels(**names: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(names.items()))


def test_requests_are_counted_in_buckets_by_method_route_and_status() -> None:
    for seconds in (0.005, 0.0051, 0.2, 30.0):
        metrics.requests.observe("GET", "/v1/counted/{id}", 200, seconds)

    seen = now()
    of = {"method": "GET", "endpoint": "/v1/counted/{id}", "status": "200"}
    buckets = {
        le: seen["http_request_duration_seconds_bucket", labels(**of, le=le)]
        for le in ("0.005", "0.01", "0.25", "10.0", "+Inf")
    }
    assert buckets == {"0.005": 1, "0.01": 2, "0.25": 3, "10.0": 3, "+Inf": 4}
    assert seen["http_request_duration_seconds_sum", labels(**of)] == pytest.approx(30.2101)
    assert seen["http_requests_total", labels(**of)] == 4


def test_a_second_look_counts_nothing_twice() -> None:
    metrics.requests.observe("GET", "/v1/twice", 200, 0.1)
    now()

    metrics.requests.observe("GET", "/v1/twice", 200, 0.1)

    assert now()["http_requests_total", labels(method="GET", endpoint="/v1/twice", status="200")] == 2


def test_requests_in_progress_are_a_gauge() -> None:
    metrics.requests.open += 3
    seen = now()["http_requests_in_progress", ()]
    metrics.requests.open -= 3

    assert seen == 3


def test_breaches_of_service_levels_are_counted_from_zero() -> None:
    metrics.requests.promise([Objective("GET /v1/promised", p95_ms=100)])
    before = now()
    for status, seconds in ((200, 0.05), (200, 0.2), (500, 0.05), (503, 0.3)):
        metrics.requests.observe("GET", "/v1/promised", status, seconds)
    metrics.requests.observe("POST", "/v1/promised", 500, 0.3)  # of which nothing was promised
    after = now()

    route = labels(method="GET", endpoint="/v1/promised")
    names = ("latency", "error", "availability")
    assert [before[f"api_slo_{name}_breach_total", route] for name in names] == [0, 0, 0]
    assert [after[f"api_slo_{name}_breach_total", route] for name in names] == [2, 2, 1]
    assert after["api_slo_request_duration_seconds_count", route] == 4
    assert after["api_slo_target", labels(method="GET", endpoint="/v1/promised", objective="p95_s")] == 0.1


def test_ids_in_route_names_do_not_fill_the_memory() -> None:
    counted = metrics.Requests()
    for number in range(metrics.MAX_SERIES + 100):
        counted.observe("GET", f"/v1/leak/{number}", 200, 0.1)

    assert len(counted._series) <= metrics.MAX_SERIES + 1


def test_cost_per_request_and_return_follow_from_what_was_counted() -> None:
    metrics.count_business("hub", project="blue", requests=4, cost=2.0, value=3.0)

    seen = now()
    of = labels(service="hub", project="blue", currency="USD")
    assert seen["business_cost_per_request", of] == 0.5
    assert seen["business_roi_ratio", of] == 0.5


def test_promtool_accepts_the_page() -> None:
    if shutil.which("promtool") is None:
        missing("promtool (Debian package prometheus)")
    metrics.requests.observe("GET", "/v1/tool", 200, 0.1)
    metrics.refresh()

    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics.render(), capture_output=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


CHILD = """
import sys
from ossature.kernel.observe import metrics
from ossature.kernel.observe.process import Sampler
Sampler().install()
for _ in range(int(sys.argv[1])):
    metrics.requests.observe("GET", "/v1/shared", 200, 0.1)
metrics.requests.open = 2
metrics.refresh()
print("done", flush=True)
sys.stdin.read()
"""


def start(folder: Path, requests: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(requests)],
        env={**os.environ, multiprocess.VARIABLE: str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"done\n"
    return child


def test_processes_that_share_a_folder_are_seen_as_one_and_counters_outlive_them(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    multiprocess.prepare(folder)
    one, two = start(folder, 3), start(folder, 4)
    of = labels(method="GET", endpoint="/v1/shared", status="200")

    both = read(metrics.render(folder))
    two.send_signal(signal.SIGKILL)
    two.wait()
    multiprocess.fold_dead(folder)
    after = read(metrics.render(folder))
    three = start(folder, 5)
    later = read(metrics.render(folder))

    for child in (one, three):
        child.communicate()
    assert both["http_requests_total", of] == 7
    assert both["http_requests_in_progress", ()] == 4
    assert after["http_requests_total", of] == 7
    assert after["http_requests_in_progress", ()] == 2
    assert not list(folder.glob(f"*_{two.pid}.db"))
    assert later["http_requests_total", of] == 12
    assert (
        later[
            "http_request_duration_seconds_bucket",
            (*labels(endpoint="/v1/shared", le="+Inf", method="GET", status="200"),),
        ]
        == 12
    )
    assert {name for name, _ in later} >= {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "ossature_build_info",
    }


def test_a_new_supervisor_begins_with_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"old")

    multiprocess.prepare(folder)

    assert list(folder.iterdir()) == []
