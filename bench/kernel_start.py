"""`kernel-start`: what it costs to begin: CPU of help and of imports, of a cold start to the first 200, and memory.

How long `ossature up --demo` takes where it has run before is measured too.
Each figure is the least of several runs in processes of their own: what is more than that is other work of the machine.
Control: an empty Python twice must agree with itself.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

TARGETS = {
    "help_cpu_s": {"most": 0.5},
    "cold_start_cpu_s": {"most": 3.0},
    "serve_hub_rss_mb": {"most": 200.0},
    "second_up_wall_s": {"most": 5.0},
}
_MB = 1024 * 1024
_START_LIMIT_S = 60.0
_CONTROL = 0.5
_WARM_REQUESTS = 50


def run(quick: bool) -> dict[str, Any]:  # noqa: FBT001 - the shape that all benches have
    """Measure; quick: fewer runs."""
    rounds = 3 if quick else 7
    empty = [_cpu_s("-c", "pass") for _ in range(2 * rounds)]
    metrics = {
        "python_cpu_s": min(empty),
        "import_app_cpu_s": min(_cpu_s("-c", "import ossature.app") for _ in range(rounds)),
        "import_services_cpu_s": min(_cpu_s("-c", "import ossature.app as a; a.services()") for _ in range(rounds)),
        "help_cpu_s": min(_cpu_s("-m", "ossature.app", "--help") for _ in range(rounds)),
    }
    with tempfile.TemporaryDirectory() as folder:
        _cpu_s("-m", "ossature.app", "migrate", "up", cwd=folder)
        starts = [_cold_start(Path(folder)) for _ in range(2 if quick else 4)]
    with tempfile.TemporaryDirectory() as folder:
        _up(Path(folder))
        ups = [_up(Path(folder)) for _ in range(2 if quick else 4)]
    metrics["second_up_cpu_s"] = min(cpu_s for cpu_s, _ in ups)
    metrics["second_up_wall_s"] = min(wall_s for _, wall_s in ups)
    metrics["cold_start_cpu_s"] = min(cpu_s for cpu_s, _, _ in starts)
    metrics["cold_start_wall_s"] = min(wall_s for _, wall_s, _ in starts)
    metrics["serve_hub_rss_mb"] = min(rss for _, _, rss in starts)
    drift = abs(min(empty[::2]) - min(empty[1::2])) / min(empty)
    return {
        "metrics": {name: round(value, 3) for name, value in metrics.items()},
        "targets": TARGETS,
        "environment": {"valid": drift < _CONTROL},
    }


def _cpu_s(*arguments: str, cwd: str | None = None) -> float:
    """User and system CPU of one Python process. Raises: CalledProcessError."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = child.stderr.read().decode() if child.stderr else ""
        raise subprocess.CalledProcessError(child.returncode, arguments, stderr=said)
    return used.ru_utime + used.ru_stime


def _cold_start(folder: Path) -> tuple[float, float, float]:
    """CPU and wall seconds until the first 200 of `ossature serve hub`, and its resident MB after some requests."""
    begun = time.monotonic()
    # A port of its own is chosen by the process, which says it on standard error.
    child = subprocess.Popen(
        [sys.executable, "-m", "ossature.app", "serve", "hub", "--workers=1", "--port=0"],
        cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        address = child.stderr.readline().split()[2].rstrip(",.") if child.stderr else ""
        process = psutil.Process(child.pid)
        while not _answers(f"{address}/health"):
            if time.monotonic() - begun > _START_LIMIT_S or child.poll() is not None:
                raise TimeoutError(f"{address} did not answer")
        times = process.cpu_times()
        wall_s = time.monotonic() - begun
        for _ in range(_WARM_REQUESTS):
            _answers(f"{address}/ready")
        return times.user + times.system, wall_s, process.memory_info().rss / _MB
    finally:
        child.terminate()
        child.communicate()


def _up(folder: Path) -> tuple[float, float]:
    """CPU (of the simulator too) and wall seconds until `ossature up --demo` is ready; then it is ended as by Ctrl-C."""
    begun = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "ossature.app", "up", "--demo", "--port=0"],
        cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        said = iter(child.stderr or ())
        address = next(line for line in said if line.startswith("ossature is up: ")).split()[3]
        while not _answers(f"{address}/ready"):
            if time.monotonic() - begun > _START_LIMIT_S or child.poll() is not None:
                raise TimeoutError(f"{address} did not answer")
        wall_s = time.monotonic() - begun
        process = psutil.Process(child.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(one.user + one.system for one in times), wall_s
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        time.sleep(0.02)
        return False
