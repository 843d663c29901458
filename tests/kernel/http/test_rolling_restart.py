"""A rolling restart behind a real nginx, under load: every request is answered, and answered well.

nginx keeps connections to the processes open, as it should, so a process that ends closes some of them just when a
request comes in. Nobody asks nginx to send a POST again; a process must not lose it in the first place.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from tests.conftest import missing

pytestmark = pytest.mark.journey

_CLIENTS = 8
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream house {{ server 127.0.0.1:{behind}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://house;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(*command: str, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    log = (cwd / f"{Path(command[0]).name}.log").open("wb")
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The address of a real nginx, and the port that it passes requests on to."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        missing("nginx")
    assert program is not None
    front, behind = free_port(), free_port()
    folder = tmp_path / "nginx"
    folder.mkdir()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, front=front, behind=behind))
    with running(program, "-p", str(folder), "-c", str(folder / "nginx.conf"), cwd=folder):
        yield f"http://127.0.0.1:{front}", behind


class Load:
    """Clients that read and write all the time, and what they were answered."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.written: list[str] = []
        self._stop = False

    async def run(self, url: str, secret: str, number: int) -> None:
        """One client, with a connection of its own to nginx."""
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {secret}"}, timeout=20) as http:
            count = 0
            while not self._stop:
                count += 1
                name = f"key {number} {count}"
                try:
                    if count % 5 == 0:
                        reply = await http.post("/v1/auth/keys", json={"name": name, "roles": ["viewer"]})
                        self.written += [name] if reply.status_code == 201 else []
                    else:
                        reply = await http.get("/v1/auth/me")
                except httpx.TransportError as error:
                    self.answers[type(error).__name__] += 1
                    continue
                self.answers[str(reply.status_code)] += 1
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stop = True


@asynccontextmanager
async def load(url: str, secret: str) -> AsyncIterator[Load]:
    clients = Load()
    async with asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(clients.run(url, secret, number))
        try:
            yield clients
        finally:
            clients.stop()


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def until_serving(url: str) -> None:
    async with httpx.AsyncClient() as http, asyncio.timeout(60):
        while True:
            try:
                if (await http.get(f"{url}/ready")).status_code in {200, 503}:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_a_rolling_restart_under_load_loses_no_request(
    nginx: tuple[str, int], sqlite_url: str, tmp_path: Path, server: str
) -> None:
    url, behind = nginx
    database = Database(DatabaseSettings(url=sqlite_url))
    first = await ensure_first_admin(database)
    await database.close()
    assert first is not None
    settings = {
        "OSSATURE_DATABASE_URL": sqlite_url,
        "OSSATURE_VAR_DIR": str(tmp_path / "var"),
        "OSSATURE_HTTP_SERVER": server,
        "OSSATURE_QUOTAS_ENABLED": "false",
        "OSSATURE_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "ossature.app", "serve", "--workers", "2", "--port", str(behind)]
    with running(*command, cwd=tmp_path, **settings) as supervisor:
        await until_serving(f"http://127.0.0.1:{behind}")
        before = children_of(supervisor.pid)
        async with load(url, first.secret) as clients:
            await asyncio.sleep(1)
            supervisor.send_signal(signal.SIGHUP)
            limit_s = time.monotonic() + 240  # far more than it takes: that is no measurement
            while children_of(supervisor.pid) & before and time.monotonic() < limit_s:  # noqa: ASYNC110 - of others
                await asyncio.sleep(0.2)
            await asyncio.sleep(1)
        assert not children_of(supervisor.pid) & before
        assert set(clients.answers) <= {"200", "201"}, clients.answers
        assert clients.answers.total() > 100
        kept = set()
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {first.secret}"}) as http:
            page: dict[str, object] = {"next": ""}
            while page["next"] is not None:
                page = (
                    await http.get(
                        "/v1/auth/keys",
                        params={"limit": 200, "cursor": page["next"]} if page["next"] else {"limit": 200},
                    )
                ).json()
                kept |= {key["name"] for key in page["items"]}  # type: ignore[union-attr, attr-defined]
    assert set(clients.written) <= kept
