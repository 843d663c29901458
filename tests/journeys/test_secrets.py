"""Canaries are planted wherever a secret can be, and everything that the product says is searched for them."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex, token_urlsafe
from urllib.parse import quote

import asyncpg
import pytest

from ossature.app import services
from ossature.kernel.guests import everybody, settings_of
from ossature.services.hub.providers import PROVIDERS
from tests.collector import collector
from tests.conftest import missing, run_sql
from tests.journeys.product import Receiver, Tree, asked, free_port, until
from tests.servers import executable, listens

pytestmark = pytest.mark.journey

PAGES = (
    "/", "/jobs", "/jobs?of=house", "/schedules", "/webhooks", "/audit", "/keys", "/settings?show=all", "/providers",
    "/providers/openai",
)  # fmt: skip
QUESTIONS = ("weather/current?latitude=1&longitude=2", "weather/forecast?latitude=1&longitude=2")
# Settings with a secret that are planted by hand below, as part of an address or with an index in their name.
BY_HAND = {
    "OSSATURE_REDIS_URL", "OSSATURE_JOBS_BROKER_URL", "OSSATURE_WEBHOOK_PARTS", "OSSATURE_HUB_KEYS",
    "OSSATURE_SYNC_SECRETS", "OSSATURE_SYNC_TENANT_SECRETS", "OSSATURE_HTTP_CDN_PURGE_HEADER",
}  # fmt: skip


@dataclass
class Canaries:
    """Values that nobody may ever say, by what they are."""

    values: dict[str, str] = field(default_factory=dict)

    def new(self, name: str) -> str:
        """A value that looks like nothing: no pattern can know it for a secret."""
        return self.add(name, f"Zq{token_hex(18)}")

    def add(self, name: str, value: str) -> str:
        """A secret that somebody else made."""
        self.values[name] = value
        return value

    def found_in(self, said: dict[str, str]) -> list[str]:
        """What was said where; as it is, or as it stands in an address."""
        return [
            f"{name} in {place}: ...{text[max(0, text.find(form) - 120) : text.find(form) + 20]}"
            for place, text in said.items()
            for name, value in self.values.items()
            for form in {value, quote(value, safe="")}
            if form in text
        ]


@contextmanager
def _echo() -> Iterator[tuple[str, list[str]]]:
    """An upstream that answers every request with all it was told: headers, address and body; and what it was told."""
    told: list[str] = []

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
            told.append(f"{self.path} {dict(self.headers)} {given}")
            said = json.dumps({"error": {"message": f"Refused: {told[-1]}"}}).encode()
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - the name that the server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def database_name(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database."""
    del postgres_server
    name = f"ossature_test_{token_hex(6)}"
    run_sql(f'CREATE DATABASE "{name}"')
    yield name
    run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def locked_redis(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Port and password of a Redis that wants one."""
    program = executable("redis-server")
    if program is None:
        missing("redis-server")
    port, password = free_port(), f"Zq{token_hex(18)}"
    command = [str(program), "--port", str(port), "--requirepass", password, "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), "Redis listens")
        yield port, password
    finally:
        process.terminate()
        process.wait(60)


def test_no_canary_is_said_by_anybody(
    tmp_path: Path, database_name: str, postgres_server: str, rabbitmq_url: str, locked_redis: tuple[int, str]
) -> None:
    canaries, receiver = Canaries(), Receiver()
    with collector() as traces, _echo() as (echo, echoed):
        database = f"{postgres_server.rpartition('/')[0]}/{database_name}"
        environment = _planted(canaries, receiver, database=database, broker=rabbitmq_url)
        environment |= {
            "OSSATURE_REDIS_URL": f"redis://:{canaries.add('redis password', locked_redis[1])}@127.0.0.1:{locked_redis[0]}",
            "OSSATURE_HUB_SIM_URL": echo,
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        logs = {verb: {"OSSATURE_OBSERVE_LOG_FORMAT": form} for verb, form in
                (("serve", "json"), ("worker", "console"), ("scheduler", "json"))}  # fmt: skip
        with Tree(tmp_path, environment, of=logs) as tree:
            canaries.add("administrator's key", tree.key)
            said = _used(tree, canaries, receiver)
            said |= {f"ossature {verb}": _verb(tree, verb) for verb in ("settings", "doctor", "jobs list")}
            said["metrics"] = tree.page("/metrics") + tree.page("/metrics", worker=True)
        said |= {f"log of {verb}": tree.log(verb) for verb in tree.processes}
        said["traces"] = b"".join(traces.bodies).decode("latin-1")
        said["the database's jobs"] = _dump(database)
    receiver.close()
    assert canaries.found_in(said) == []
    # It would be no wonder if nothing had been asked, shown, sent or written.
    used = {name for name, value in canaries.values.items() if any(value in one for one in echoed)}
    assert {"key of openai", "key of weatherapi"} <= used, "upstreams were given their keys, and said them"
    assert {f"GET /console{page} (200)" for page in PAGES} <= said.keys()
    assert [place for place in said if place.startswith("GET /v1/hub/") and place.endswith(("(502)", "(503)"))]
    assert all("process.started" in said[f"log of {verb}"] for verb in ("serve", "worker", "scheduler"))
    assert "outbound weather.current" in said["traces"]
    assert "webhooks.deliver" in said["the database's jobs"]
    assert len(receiver.received) >= 1


def _planted(canaries: Canaries, receiver: Receiver, *, database: str, broker: str) -> dict[str, str]:
    """Settings with a canary in each that holds a secret, and in each address."""
    groups = settings_of(everybody(services()))
    fields = [(group.variable(name), str(f.annotation)) for group in groups for name, f in group.model_fields.items()]
    plain = {variable for variable, kind in fields if "SecretStr" in kind} - BY_HAND
    user, _, place = database.removeprefix("postgresql://").partition("@")
    token, secret = canaries.new("token of the operator's webhook"), canaries.new("secret of the operator's webhook")
    return {
        **{variable: canaries.new(variable) for variable in plain},
        **{f"OSSATURE_HUB_KEY_{one.id.upper()}": canaries.new(f"key of {one.id}") for one in PROVIDERS},
        "OSSATURE_CRYPTO_KEYS": f"0123456789ab:{canaries.add('key of the ring', token_urlsafe(32))}",
        "OSSATURE_OBSERVE_SENTRY_DSN": f"http://{canaries.new('key of the DSN')}@127.0.0.1:9/1",
        "OSSATURE_HTTP_CDN_PURGE_HEADER": f"X-Purge-Key: {canaries.new('key of the CDN')}",
        "OSSATURE_SYNC_SECRET_ERP": canaries.new("secret that a connection names"),
        "OSSATURE_SYNC_TENANT_SECRET_MAIN__ERP": canaries.new("secret of one tenant"),
        "OSSATURE_HUB_CONTACT": "operator@example.org",
        "OSSATURE_DATABASE_URL": f"postgresql+asyncpg://{user}:{canaries.new('database password')}@{place}",
        "OSSATURE_JOBS_TRANSPORT": "rabbitmq",
        # Not the broker's password: what is said about being refused is searched too.
        "OSSATURE_JOBS_BROKER_URL": f"amqp://guest:{canaries.new('broker password')}@{broker.rpartition('@')[2]}",
        "OSSATURE_WEBHOOK_1_URL": f"{receiver.url}?token={token}",
        "OSSATURE_WEBHOOK_1_SECRET": secret,
        "OSSATURE_WEBHOOK_1_EVENTS": "*",
        "OSSATURE_OUTBOUND_PRIVATE_HOSTS": receiver.host,
        "OSSATURE_OBSERVE_LOG_LEVEL": "debug",
        "OSSATURE_OBSERVE_TRACE_RATIO": "1",
    }


def _used(tree: Tree, canaries: Canaries, receiver: Receiver) -> dict[str, str]:
    """What the product answers while all of its secrets are in use."""
    password = canaries.new("a person's password")
    user = {"email": "ada@example.org", "name": "Ada", "password": password, "roles": ["owner", "platform_admin"]}
    status, made = tree.ask("POST", "/v1/auth/users", user)
    assert status == 201, made
    status, made = tree.ask("POST", "/v1/auth/keys", {"name": "robot", "roles": ["admin"]})
    key = canaries.add("an API key", made["secret"])
    status, endpoint = tree.ask("POST", "/v1/webhooks", {"url": receiver.url, "events": ["*"]})
    assert status == 201, endpoint
    canaries.add("secret of a webhook", endpoint["secret"])
    login = {"email": user["email"], "password": password, "cookie": True}
    status, headers, _ = asked(tree.port, "POST", "/v1/auth/login", login, {})
    assert status == 200
    cookie = re.search(r"ossature_session=([^;,]+)", headers["set-cookie"])
    assert cookie is not None
    session = {"Cookie": f"ossature_session={canaries.add('a session cookie', cookie[1])}"}
    said: dict[str, str] = {}

    def note(path: str, method: str = "GET", body: object = None, headers: dict[str, str] | None = None) -> None:
        status, all_headers, content = asked(
            tree.port, method, path, body, headers or {"Authorization": f"Bearer {key}"}
        )
        said[f"{method} {path} ({status})"] = f"{all_headers} {content.decode(errors='replace')}"

    for question in QUESTIONS:
        note(f"/v1/hub/{question}")
    for provider in PROVIDERS:
        note(f"/v1/hub/{QUESTIONS[0]}&providers={provider.id}")
    note(
        "/v1/chat/completions", "POST", {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "?"}]}
    )
    note("/v1/auth/login", "POST", login | {"password": password + "x"}, {})
    note("/v1/nowhere?token=" + "x" * 20, headers={"Authorization": f"Bearer {key}x"})
    note(f"/v1/webhooks/{endpoint['id']}/test", "POST")
    until(lambda: bool(receiver.received), "the webhook came")
    note(f"/v1/webhooks/{endpoint['id']}/deliveries")
    for delivery in tree.ask("GET", f"/v1/webhooks/{endpoint['id']}/deliveries")[1]["items"]:
        note(f"/v1/webhooks/{endpoint['id']}/deliveries/{delivery['id']}")
    admin = {"Authorization": f"Bearer {tree.key}"}
    for path in ("/health", "/ready", "/health/detailed", "/v1/jobs", "/v1/auth/keys", "/v1/audit", "/v1/audit/export"):
        note(path, headers=admin)
    for page in PAGES:
        note(f"/console{page}", headers=session)
    return said


def _verb(tree: Tree, verb: str) -> str:
    ended = tree.run(*verb.split(), check=False)
    return ended.stdout + ended.stderr


def _dump(database: str) -> str:
    """The table of jobs as text."""

    async def read() -> str:
        connection = await asyncpg.connect(database)
        try:
            return "\n".join(row[0] for row in await connection.fetch("SELECT job::text FROM jobs_job AS job"))
        finally:
            await connection.close()

    return asyncio.run(read())
