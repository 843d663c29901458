"""A tenant takes everything along, or is gone for good: every table, every file, and nothing of anybody else."""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy
from sqlalchemy import Table as CoreTable
from sqlalchemy import insert, select

from ossature.app import services
from ossature.kernel.context import SYSTEM
from ossature.kernel.db.metadata import load
from ossature.kernel.db.table import SECRET
from ossature.kernel.db.types import Utc
from ossature.kernel.files.archive import Files
from ossature.kernel.tenants.rls import tenant_column
from ossature.kernel.tenants.takeout import store, usecases
from ossature.kernel.testing.houses import Home, open_house

load()
TABLES = [table for table in store.tables() if table.name != "tenants_tenant"]
CHUNK = b"0123456789abcdef" * 4096


@dataclass
class Town:
    """Two tenants, of which `leaving` owns a row in every table there is, and so does the other."""

    home: Home
    admin: httpx.AsyncClient
    leaving: UUID
    staying: UUID
    owner: str

    async def work(self) -> None:
        worker = self.home.house.worker()
        while await worker.run_due():
            pass

    async def rows(self, table: CoreTable, tenant_id: UUID) -> list[Any]:
        column = table.columns[tenant_column(table) or ""]
        async with self.home.house.database.begin() as db:
            return list(await db.all(select(table).where(column == tenant_id)))


def _value(column: sqlalchemy.Column[Any], number: int) -> Any:
    """Something that fits a column."""
    kind: type = datetime if isinstance(column.type, Utc) else column.type.python_type
    if isinstance(column.type, sqlalchemy.JSON):
        return [number]
    values = {
        UUID: uuid4(), str: uuid4().hex[: getattr(column.type, "length", None) or 32], int: number + 1_000, bool: False,
        float: 0.5, bytes: b"\x00\xff", datetime: datetime(2026, 3, 1, 12, number, tzinfo=UTC),
        date: date(2026, 3, 1 + number % 28),
    }  # fmt: skip
    return values[kind]


def _row(table: CoreTable, tenant_id: UUID, number: int, parents: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in table.columns:
        keys = [key for key in column.foreign_keys if key.column.table.name in parents]
        if column.name == tenant_column(table):
            values[column.name] = tenant_id
        elif keys:
            values[column.name] = parents[keys[0].column.table.name][keys[0].column.name]
        elif column.primary_key or (not column.nullable and column.server_default is None):
            values[column.name] = _value(column, number)
    return values


async def furnish(home: Home, tenant_id: UUID, number: int) -> None:
    """One row of this tenant in every table, in the order in which they refer to each other."""
    made: dict[str, Any] = {}
    async with home.house.database.begin() as db:
        for table in TABLES:
            made[table.name] = _row(table, tenant_id, number, made)
            await db.execute(insert(table).values(made[table.name]))


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(open_house(*services(), var_dir=tmp_path, database_url=database_url))
        admin = await stack.enter_async_context(home.client())
        made = [(await admin.post("/v1/tenants", json={"slug": s, "name": s})).json() for s in ("leaving", "staying")]
        ids = [UUID(one["id"]) for one in made]
        for number, tenant_id in enumerate(ids):
            await furnish(home, tenant_id, number)
        yield Town(home, admin, *ids, made[0]["owner"]["key"])


async def keep_file(home: Home, tenant_id: UUID, content: bytes) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    async with home.house.database.begin(tenant_id) as db:
        return (await home.house.port(Files).save(db, tenant_id, pieces(), name="a.txt", purpose="note")).sha256


def lines(archive: zipfile.ZipFile, table: str) -> Iterator[dict[str, Any]]:
    for line in archive.read(f"tables/{table}.ndjson").splitlines():
        yield json.loads(line)


async def test_an_export_holds_every_row_of_every_table_and_every_file_and_no_secret(town: Town) -> None:
    content = CHUNK * 20
    kept = await keep_file(town.home, town.leaving, content)
    await keep_file(town.home, town.staying, b"somebody else's")
    async with town.home.client(secret=town.owner) as owner:
        assert (await owner.post("/v1/tenants/current/exports")).status_code == 202
        await town.work()
        (export,) = (await owner.get("/v1/tenants/current/exports")).json()["items"]
        download = await owner.get(f"/v1/tenants/current/exports/{export['id']}")

    assert sha256(download.content).hexdigest() == export["sha256"]
    archive = zipfile.ZipFile(io.BytesIO(download.content))
    manifest = json.loads(archive.read("manifest.json"))
    told = {one["name"]: one for one in manifest["tables"]}
    assert archive.testzip() is None
    assert set(told) == {table.name for table in store.tables()}
    for table in TABLES:
        exported = list(lines(archive, table.name))
        column = tenant_column(table)
        assert exported, table.name
        assert told[table.name]["rows"] == len(exported)
        assert {UUID(row[column]) for row in exported} == {town.leaving}, table.name
        assert not any(row[name] for row in exported for name in told[table.name]["withheld"])
    assert archive.read(f"files/{kept}") == content
    assert manifest["files"]["count"] == 1
    assert town.owner not in download.text


async def test_a_larger_table_is_exported_in_batches_without_gaps(town: Town) -> None:
    table = next(one for one in TABLES if one.name == "tenants_member")
    ids = {uuid4() for _ in range(1203)}
    async with town.home.house.database.begin() as db:
        rows = [{"tenant_id": town.staying, "user_id": one, "roles": [], "bound": {}} for one in ids]
        await db.execute(insert(table), rows)
        found = [row.user_id async for batch in store.rows(db, table, town.staying) for row in batch]
    assert len(found) == len(set(found)) == 1204
    assert ids < set(found)


async def test_a_deleted_tenant_is_refused_at_once_and_leaves_nothing_but_what_has_a_reason(town: Town) -> None:
    kept = await keep_file(town.home, town.leaving, CHUNK)
    before = {table.name: len(await town.rows(table, town.staying)) for table in TABLES}

    answer = await town.admin.delete(f"/v1/tenants/{town.leaving}")
    async with town.home.client(secret=town.owner) as owner:
        refused = (await owner.get("/v1/projects")).status_code
    await town.work()

    assert (answer.status_code, refused) == (202, 403)
    job = (await town.admin.get(f"/v1/jobs/{answer.json()['job_id']}")).json()
    assert (job["state"], job["failures"]) == ("succeeded", 0)
    left = {table.name for table in TABLES if await town.rows(table, town.leaving)}
    assert left == {table.name for table in TABLES if store.reason_to_keep(table)}
    assert {table.name: len(await town.rows(table, town.staying)) for table in TABLES} == before
    assert (await town.admin.get(f"/v1/tenants/{town.leaving}")).status_code == 404
    assert not list((town.home.house.config.main.var_dir / "files" / town.leaving.hex).glob("**/*"))
    assert kept


async def test_only_an_owner_takes_the_tenant_along_and_only_its_own(town: Town) -> None:
    async with town.home.client(secret=town.owner) as owner:
        key = (await owner.post("/v1/auth/keys", json={"name": "k", "roles": ["admin"]})).json()["secret"]
        assert (await owner.post(f"/v1/tenants/{town.staying}/exports")).status_code == 403
        await owner.post("/v1/tenants/current/exports")
        await town.work()
        (export,) = (await owner.get("/v1/tenants/current/exports")).json()["items"]
    async with town.home.client(secret=key) as admin_of_tenant:
        assert (await admin_of_tenant.post("/v1/tenants/current/exports")).status_code == 403
    assert (await town.admin.get(f"/v1/tenants/current/exports/{export['id']}")).status_code == 404
    assert (await town.admin.get(f"/v1/tenants/{town.leaving}/exports/{export['id']}")).status_code == 200


def test_a_table_of_tenants_goes_with_them_or_says_why_it_stays_and_every_secret_is_marked() -> None:
    reasons = {table.name: store.reason_to_keep(table) for table in store.tables() if store.reason_to_keep(table)}
    append_only = {table.name for table in store.tables() if table.info.get("append_only")}
    named = {
        f"{table.name}.{column.name}"
        for table in store.tables()
        for column in table.columns
        if any(word in column.name for word in ("secret", "password_hash", "token_digest"))
        and f"{table.name}.{column.name}" not in {"webhooks_endpoint.old_secret_until", "sync_connection.secrets"}
    }
    marked = {
        f"{table.name}.{column.name}" for table in store.tables() for column in table.columns if column.info.get(SECRET)
    }

    assert append_only <= set(reasons)
    assert all(len(reason or "") > 20 for reason in reasons.values())
    assert named <= marked, "mark the column with info={SECRET: True}"


async def test_a_deletion_that_dies_at_its_end_is_told_of_all_the_same(town: Town) -> None:
    house, told = town.home.house, "SELECT count(*) FROM events_outbox WHERE wire = 'tenant.deleted'"
    ctx = house.ctx(tenant=town.home.tenant, actor=SYSTEM)
    await usecases.delete_tenant(ctx, str(town.leaving))
    await ctx.db.close()  # it never came to its commit
    async with house.occasion(town.home.tenant) as again:
        await usecases.delete_tenant(again, str(town.leaving))

    async with house.database.begin() as db:
        assert await db.scalar(sqlalchemy.text(told)) == 1
    assert (await town.admin.get(f"/v1/tenants/{town.leaving}")).status_code == 404
