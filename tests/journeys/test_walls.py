"""The product on PostgreSQL as it should be run: requests under a role that owns nothing and sees one tenant at a time."""

import asyncio
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import run_sql
from tests.journeys.product import Tree, asked, until

pytestmark = pytest.mark.journey


@dataclass(frozen=True)
class Server:
    """A database without a table, and two roles: `system` owns it and works across tenants, `limited` owns nothing."""

    address: str
    name: str

    def url(self, role: str) -> str:
        return f"postgresql://{self.name}_{role}@{self.address}/{self.name}"

    @property
    def settings(self) -> dict[str, str]:
        """What the product is told."""
        urls = {"OSSATURE_DATABASE_URL": "limited", "OSSATURE_DATABASE_SYSTEM_URL": "system"}
        return {name: self.url(role).replace("://", "+asyncpg://") for name, role in urls.items()}

    def see(self, role: str, query: str) -> list[Any]:
        """The first column of what a role reads."""

        async def read() -> list[Any]:
            connection = await asyncpg.connect(self.url(role))
            try:
                return [row[0] for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(read())


@pytest.fixture
def server(postgres_server: str) -> Iterator[Server]:
    one = Server(postgres_server.rpartition("/")[0].rpartition("@")[2], f"ossature_test_{uuid4().hex[:12]}")
    run_sql(f"CREATE ROLE {one.name}_limited LOGIN")
    run_sql(f"CREATE ROLE {one.name}_system LOGIN BYPASSRLS")
    run_sql(f"CREATE DATABASE {one.name} OWNER {one.name}_system")
    yield one
    run_sql(f"DROP DATABASE IF EXISTS {one.name} WITH (FORCE)")
    run_sql(f"DROP ROLE {one.name}_limited")
    run_sql(f"DROP ROLE {one.name}_system")


def _as(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _made(answer: tuple[int, Any]) -> Any:
    status, body = answer
    assert status in {200, 201, 202}, body
    return body


def _done(tree: Tree, key: str, job: str) -> Callable[[], bool]:
    def ended() -> bool:
        found = _made(tree.ask("GET", f"/v1/jobs/{job}", headers=_as(key)))
        assert found["state"] not in {"dead", "failed"}, found
        return bool(found["state"] == "succeeded")

    return ended


def test_a_tenant_lives_is_exported_and_is_deleted_while_requests_and_jobs_have_the_limited_role(
    tmp_path: Path, server: Server
) -> None:
    with Tree(tmp_path, server.settings) as tree:
        made = _made(tree.ask("POST", "/v1/tenants", {"slug": "leaving", "name": "Leaving"}))
        owner, tenant = made["owner"]["key"], made["id"]
        _made(tree.ask("POST", "/v1/projects", {"slug": "ours", "name": "ours"}))
        _made(tree.ask("POST", "/v1/projects", {"slug": "theirs", "name": "theirs"}, headers=_as(owner)))
        named = _made(tree.ask("GET", "/v1/projects", headers=_as(owner)))["items"]
        assert [one["name"] for one in named] == ["theirs"]

        started = _made(tree.ask("POST", "/v1/tenants/current/exports", headers=_as(owner)))
        until(_done(tree, owner, started["job_id"]), "the export was written")
        (export,) = _made(tree.ask("GET", "/v1/tenants/current/exports", headers=_as(owner)))["items"]
        path = f"/v1/tenants/current/exports/{export['id']}"
        _, _, content = asked(tree.port, "GET", path, None, _as(owner))
        projects = zipfile.ZipFile(io.BytesIO(content)).read("tables/tenants_project.ndjson").splitlines()
        assert [json.loads(line)["name"] for line in projects] == ["theirs"]

        _made(tree.ask("DELETE", f"/v1/tenants/{tenant}"))
        until(lambda: tree.ask("GET", f"/v1/tenants/{tenant}")[0] == 404, "the tenant was deleted")
        assert server.see("system", "SELECT name FROM tenants_project ORDER BY name") == ["ours"]
        logs = {verb: tree.log(verb) for verb in tree.processes}

    assert not [verb for verb, log in logs.items() if "permission denied" in log or "row-level security" in log]
    assert server.see("limited", "SELECT name FROM tenants_project") == [], "no tenant, no rows"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        server.see("limited", "DELETE FROM audit_entry")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        server.see("limited", "CREATE TABLE mine (id integer)")
