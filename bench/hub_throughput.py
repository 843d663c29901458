"""`hub-throughput`: chat completions through the hub, LiteLLM, Portkey and nginx, by CPU per request, in one run.

Everything on loopback: an upstream that always says the same, gateways on one core, callers on another, 64 connections,
targets interleaved round by round, medians of the rounds' ratios. The hub runs with all that it does for a customer:
key, tenant, rate limits, provider windows, ledger, usage log, metrics, access log. The others run in their plainest form.
"""

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings

TARGETS = {
    "litellm_times": {"least": 60},
    "portkey_times": {"least": 8},
    "nginx_share": {"least": 0.08},
    "bad_answers": {"equals": 0},
}
PEERS = Path(os.environ.get("OSSATURE_BENCH_HOME", Path.home() / ".cache" / "ossature-bench")) / "hub"
CONNECTIONS = 64
_MOST_P99_MS = 5.0
_READY_LIMIT_S = 60.0
_COMMAND = str(Path(sys.executable).with_name("ossature"))
_WIDE = [{"limit": 1_000_000_000, "per_s": 60}, {"limit": 1_000_000_000, "per_s": 3600, "unit": "tokens"}]
_NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=1024; proxy_http_version 1.1; proxy_set_header Connection "";
            location / {{ proxy_pass http://up; }} }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Something that forwards chat completions. process: None for the upstream itself, which is the control."""

    name: str
    url: str
    model: str = "mock"
    key: str = "sk-bench"
    headers: tuple[str, ...] = ()
    process: psutil.Process | None = None

    def cpu_s(self) -> float:
        """What it and its children have used so far."""
        if self.process is None:
            return 0.0
        every = [self.process, *self.process.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in every)


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    rounds, seconds = (2, 2.0) if quick else (5, 4.0)
    missed: list[str] = []
    us: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    bad, control_p99_ms = 0, 0.0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = _free_port()
        stack.enter_context(_running([sys.executable, "-m", "bench.gateway_load", "upstream", str(upstream)], core=1))
        control = Gateway(name="direct", url=f"http://127.0.0.1:{upstream}/v1/chat/completions")
        _wait(f"http://127.0.0.1:{upstream}/count")
        gateways = [control, *_gateways(stack, folder, upstream, missed)]
        for each in gateways:
            _measure(each, 1.0)
        for _ in range(rounds):
            for each in gateways:
                before = each.cpu_s()
                served = _measure(each, seconds)
                bad += served["bad"]
                us.setdefault(each.name, []).append((each.cpu_s() - before) / max(1, served["answers"]) * 1e6)
                rates.setdefault(each.name, []).append(served["answers"] / served["seconds"])
                if each is control:
                    control_p99_ms = max(control_p99_ms, served["p99_ms"])
    metrics: dict[str, Any] = {"bad_answers": bad, "control_p99_ms": round(control_p99_ms, 2)}
    for name, used_us in us.items():
        metrics[f"{name}_requests_per_s"] = round(statistics.median(rates[name]))
        if name != "direct":
            metrics[f"{name}_cpu_us"] = round(statistics.median(used_us), 1)
    metrics |= _ratios(us)
    valid = control_p99_ms <= _MOST_P99_MS and not bad
    return {"metrics": metrics, "targets": TARGETS, "missed": missed, "environment": {"valid": valid}}


def _ratios(us: dict[str, list[float]]) -> dict[str, float]:
    """How many times as much CPU a peer takes for a request (nginx: which share of ours), as medians over the rounds."""
    found = {}
    for peer, name in (("litellm", "litellm_times"), ("portkey", "portkey_times"), ("nginx", "nginx_share")):
        if peer in us:
            pairs = zip(us[peer], us["ossature"], strict=True)
            found[name] = round(statistics.median(theirs / ours for theirs, ours in pairs), 3)
    return found


def _gateways(stack: ExitStack, folder: Path, upstream: int, missed: list[str]) -> Iterator[Gateway]:
    yield _ossature(stack, folder, upstream)
    for name, start in (("nginx", _nginx), ("litellm", _litellm), ("portkey", _portkey)):
        try:
            yield start(stack, folder, upstream)
        except (OSError, TimeoutError) as error:
            missed.append(f"{name}: not measured ({error})")


def _ossature(stack: ExitStack, folder: Path, upstream: int) -> Gateway:
    port = _free_port()
    environment = os.environ | {
        "OSSATURE_VAR_DIR": str(folder),
        "OSSATURE_HUB_SIM_URL": f"http://127.0.0.1:{upstream}",
        "OSSATURE_HUB_KEY_OPENAI": "sim-openai",
        "OSSATURE_QUOTAS_RATE_CHAT": "1000000000/60",
        "OSSATURE_OUTBOUND_LIMITS": orjson.dumps({"openai": _WIDE}).decode(),
    }
    subprocess.run([_COMMAND, "migrate", "up"], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
    key = asyncio.run(_admin_key(folder))
    command = [_COMMAND, "serve", "hub", "--workers", "1", "--port", str(port)]
    process = stack.enter_context(_running(command, core=0, environment=environment))
    _wait(f"http://127.0.0.1:{port}/ready")
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    return Gateway(name="ossature", url=url, model="openai/gpt-4o-mini", key=key, process=process)


def _nginx(stack: ExitStack, folder: Path, upstream: int) -> Gateway:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        msg = "nginx is not installed"
        raise FileNotFoundError(msg)
    port, own = _free_port(), folder / "nginx"
    own.mkdir()
    config = own / "nginx.conf"
    config.write_text(_NGINX.format(folder=own, upstream=upstream, port=port))
    process = stack.enter_context(_running([program, "-c", str(config), "-p", str(own)], core=0))
    _wait(f"http://127.0.0.1:{port}/count")
    return Gateway(name="nginx", url=f"http://127.0.0.1:{port}/v1/chat/completions", process=process)


def _litellm(stack: ExitStack, folder: Path, upstream: int) -> Gateway:
    program = PEERS / "litellm" / "bin" / "litellm"
    if not program.is_file():
        msg = "run: python -m bench setup hub-throughput"
        raise FileNotFoundError(msg)
    port, config = _free_port(), folder / "litellm.yaml"
    model = {"model": "openai/mock", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-up"}
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "mock", "litellm_params": model}],
                "general_settings": {"master_key": "sk-bench"},
                "litellm_settings": {"telemetry": False, "num_retries": 0},
            }
        )
    )
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    process = stack.enter_context(_running(command, core=0))
    _wait(f"http://127.0.0.1:{port}/health/liveliness")
    return Gateway(name="litellm", url=f"http://127.0.0.1:{port}/v1/chat/completions", process=process)


def _portkey(stack: ExitStack, folder: Path, upstream: int) -> Gateway:
    del folder
    program = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    node = shutil.which("node")
    if not program.is_file() or node is None:
        msg = "run: python -m bench setup hub-throughput"
        raise FileNotFoundError(msg)
    port = _free_port()
    process = stack.enter_context(_running([node, str(program), f"--port={port}", "--headless"], core=0))
    _wait(f"http://127.0.0.1:{port}/")
    config = {"provider": "openai", "api_key": "sk-up", "custom_host": f"http://127.0.0.1:{upstream}/v1"}
    return Gateway(
        name="portkey",
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        headers=(f"x-portkey-config: {json.dumps(config)}",),
        process=process,
    )


def _measure(gateway: Gateway, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.gateway_load", "callers", gateway.url, gateway.model, gateway.key]
    done = subprocess.run(
        [*command, str(CONNECTIONS), str(seconds), *gateway.headers],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 90,
        preexec_fn=lambda: os.sched_setaffinity(0, _core(1)),
    )
    served: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return served


@contextmanager
def _running(command: list[str], *, core: int, environment: dict[str, str] | None = None) -> Iterator[psutil.Process]:
    """A program on one core that runs while the block does."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, _core(core)),  # noqa: PLW1509 - this process has no threads
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _core(number: int) -> set[int]:
    usable = sorted(os.sched_getaffinity(0))
    return {usable[number % len(usable)]}


def _wait(url: str) -> None:
    """Return once something answers. Raises: TimeoutError."""
    limit = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < limit:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - an address of this machine, made here
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.2)
    msg = f"{url} was not ready in time"
    raise TimeoutError(msg)


async def _admin_key(folder: Path) -> str:
    database = Database(DatabaseSettings(), var_dir=folder)
    try:
        first = await ensure_first_admin(database)
    finally:
        await database.close()
    if first is None:
        msg = "the house was not empty"
        raise RuntimeError(msg)
    return first.secret


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def setup() -> None:
    """Install LiteLLM and Portkey beside this environment; nginx comes from the system's own packages."""
    PEERS.mkdir(parents=True, exist_ok=True)
    litellm = PEERS / "litellm"
    subprocess.run([sys.executable, "-m", "venv", str(litellm)], check=True)
    # Two published versions were compromised.
    wanted = "litellm[proxy]!=1.82.7,!=1.82.8"
    subprocess.run([str(litellm / "bin" / "pip"), "install", "-q", wanted], check=True)
    portkey = PEERS / "portkey"
    portkey.mkdir(exist_ok=True)
    # With newer ones of these two its streams answer 500.
    package = {
        "name": "bench-portkey",
        "private": True,
        "dependencies": {"@portkey-ai/gateway": "1.15.2"},
        "overrides": {"@hono/node-server": "1.3.3", "hono": "4.9.7"},
    }
    (portkey / "package.json").write_text(json.dumps(package))
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=portkey, check=True)
