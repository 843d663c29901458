"""The race through HTTP: the product in eight processes, the simulator as its upstream, a limit of 100 a month.

The limit is given to the product only; the simulator's own limits are wide, and it counts what reaches it.
"""

import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import psutil

from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings

LIMIT = 100
PROCESSES = 8
CALLS_EACH = 200
PROVIDER = "open_meteo"
_COMMAND = str(Path(sys.executable).with_name("ossature"))
_READY_LIMIT_S = 180.0
_AT_ONCE = 100
_OK = 200


@dataclass(slots=True)
class Raced:
    """What came of it: answers by status, and how many calls reached the upstream."""

    statuses: Counter[int] = field(default_factory=Counter)
    reached: int = 0


def race(*, kills: bool, chance: random.Random) -> Raced:
    """One race on an empty house. kills: web processes are killed at random moments, and replaced by their parent."""
    with tempfile.TemporaryDirectory() as folder:
        product_port, sim_port = _free_port(), _free_port()
        environment = os.environ | {
            "OSSATURE_VAR_DIR": folder,
            "OSSATURE_HUB_SIM_URL": f"http://127.0.0.1:{sim_port}",
            "OSSATURE_OUTBOUND_LIMITS": orjson.dumps(
                {PROVIDER: [{"limit": LIMIT, "per_s": 30 * 86_400, "kind": "fixed"}]}
            ).decode(),
            "OSSATURE_QUOTAS_ENABLED": "false",  # what is raced for is the provider's window, not the caller's rate
        }
        _ossature(["migrate", "up"], environment)
        key = asyncio.run(_admin_key(Path(folder)))
        wide = Path(folder) / "limits.json"
        wide.write_bytes(orjson.dumps({PROVIDER: ["1000000/minute"]}))
        sim = ["sim", "--port", str(sim_port), "--limits", str(wide)]
        product = ["serve", "hub", "--workers", str(PROCESSES), "--port", str(product_port)]
        with _running(sim, environment), _running(product, environment) as parent:
            return asyncio.run(_calls(parent, product_port, sim_port, key, chance if kills else None))


async def _calls(
    parent: psutil.Process, product_port: int, sim_port: int, key: str, chance: random.Random | None
) -> Raced:
    raced, gate = Raced(), asyncio.Semaphore(_AT_ONCE)
    connector = aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True)  # a new connection each: all processes get some
    limit = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(
        connector=connector, timeout=limit, headers={"Authorization": f"Bearer {key}"}
    ) as http:
        await _ready(http, f"http://127.0.0.1:{product_port}/ready")
        await _ready(http, f"http://127.0.0.1:{sim_port}/_sim/requests")

        async def call(i: int) -> None:
            where = {"latitude": f"{i % 90}.5", "longitude": f"{i % 180}.25", "cache": "off", "only": PROVIDER}
            async with gate:
                try:
                    async with http.get(
                        f"http://127.0.0.1:{product_port}/v1/hub/weather/current", params=where
                    ) as answer:
                        await answer.read()
                        raced.statuses[answer.status] += 1
                except aiohttp.ClientError:
                    raced.statuses[0] += 1  # its process was killed

        calls = asyncio.gather(*(call(i) for i in range(PROCESSES * CALLS_EACH)))
        if chance is not None:
            await _kill_some(parent, chance)
        await calls
        async with http.get(f"http://127.0.0.1:{sim_port}/_sim/requests", params={"provider": PROVIDER}) as answer:
            raced.reached = (await answer.json())["providers"][PROVIDER]["reached"]
    return raced


async def _kill_some(parent: psutil.Process, chance: random.Random) -> None:
    for _ in range(PROCESSES // 2):
        await asyncio.sleep(chance.uniform(0.0, 0.2))
        workers = parent.children()
        if workers:
            chance.choice(workers).kill()


async def _ready(http: aiohttp.ClientSession, url: str) -> None:
    limit = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < limit:
        try:
            async with http.get(url) as answer:
                if answer.status == _OK:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
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


def _ossature(arguments: list[str], environment: dict[str, str]) -> None:
    subprocess.run([_COMMAND, *arguments], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)


@contextmanager
def _running(arguments: list[str], environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A command of the product that runs while the block does."""
    process = subprocess.Popen(
        [_COMMAND, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
