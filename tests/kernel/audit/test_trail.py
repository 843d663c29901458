"""The audit trail: complete, unchangeable, and honest about what was altered."""

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text, update
from sqlalchemy.exc import DBAPIError

from ossature.kernel.audit import store
from ossature.kernel.audit.domain import AuditEntryTooLarge
from ossature.kernel.audit.trail import Trail
from ossature.kernel.context import SYSTEM_TENANT_ID, Actor
from ossature.kernel.db import appendonly
from ossature.kernel.db.chain import AnchorRow, ChainHeadRow, Verdict
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import Filter, ListQuery
from ossature.kernel.testing.context import SmallHouse

ANNE = Actor(kind="user", id=UUID(int=7), name="anne@example.org", ip="192.0.2.7")


async def record(database: Database, times: int = 1, **facts: Any) -> None:
    async with database.begin() as db:
        ctx = SmallHouse().ctx(db, actor=ANNE)
        for number in range(times):
            await ctx.audit("key.created", f"key:{number}", **facts)


async def verdict(database: Database) -> Verdict:
    async with database.begin() as db:
        return await Trail().verify(db, SYSTEM_TENANT_ID)


async def without_guards(
    database: Database, statement: str, *, table: Any = store.AuditRow.__table__, **values: Any
) -> None:
    """What somebody with the database's own password could do."""

    def run(connection: Connection) -> None:
        with appendonly.lifted(connection, table):
            connection.execute(text(statement), values)

    if database.embedded:
        with database.sqlite.begin() as connection:
            run(connection)
    else:
        async with database.postgres.begin() as connection:
            await connection.run_sync(run)


async def test_an_entry_says_who_did_what_to_which_object_from_where(database: Database) -> None:
    await record(database, before={"name": "a"}, after={"name": "b"})
    async with database.begin() as db:
        entry = await store.read_entry(db, SYSTEM_TENANT_ID, 1)
    assert (entry.actor_kind, entry.actor_id, entry.action, entry.what) == ("user", UUID(int=7), "key.created", "key:0")
    assert (entry.ip, entry.request_id, entry.result) == ("192.0.2.7", "test", "ok")
    assert (entry.before, entry.after) == ({"name": "a"}, {"name": "b"})


async def test_secrets_and_personal_values_are_masked_before_they_are_stored(database: Database) -> None:
    told = {
        "password": "hunter2-hunter2",
        "note": "write to bob@example.org or +41 44 668 18 00",
        "iban": "CH9300762011623852957",
        "api_key": "oss_abcdefghijklmnopqrstuvwxyz",
    }
    await record(database, after=told)
    async with database.begin() as db:
        body = await db.scalar(text("SELECT body FROM audit_entry"))
    for secret in ("hunter2", "bob@example.org", "668 18 00", "CH93", "oss_abc", "anne@"):
        assert secret not in body


async def test_values_without_a_json_form_are_kept_as_text(database: Database) -> None:
    facts = {
        "amount": Decimal("12.30"),
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "big": 2**60,
        "odd": float("inf"),
        "nul": "a\x00b",
    }
    await record(database, **facts)
    async with database.begin() as db:
        entry = await store.read_entry(db, SYSTEM_TENANT_ID, 1)
    assert entry.facts["amount"] == "12.30"
    assert entry.facts["at"] == "2026-03-01T00:00:00+00:00"
    assert entry.facts["big"] == str(2**60)
    assert (await verdict(database)).intact


async def test_an_entry_that_is_too_large_is_refused(database: Database) -> None:
    with pytest.raises(AuditEntryTooLarge):
        await record(database, after={"text": "word " * 20_000})


async def test_what_is_rolled_back_leaves_no_entry(database: Database) -> None:
    db = database.system()
    await SmallHouse().ctx(db).audit("key.created", "key:1")
    await db.rollback()
    await db.commit()
    await db.close()
    assert (await verdict(database)).last_seq == 0


async def test_the_database_refuses_to_change_or_remove_an_entry(database: Database) -> None:
    await record(database, times=2)
    for statement in (
        "UPDATE audit_entry SET action = 'x'",
        "DELETE FROM audit_entry",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry" if database.embedded else "TRUNCATE audit_entry",
    ):
        async with database.begin() as db:
            with pytest.raises(DBAPIError, match="append-only"):
                await db.write_text(statement)
            await db.rollback()
    assert (await verdict(database)).intact


async def test_an_untouched_trail_is_intact(database: Database) -> None:
    for _ in range(3):
        await record(database, times=4)
    found = await verdict(database)
    assert (found.intact, found.checked, found.last_seq) == (True, 12, 12)


CHANGES = [
    ("body = replace(body, 'key.created', 'key.creatEd')", "body or hash"),
    ("action = 'key.creatEd'", "action"),
    ("actor = 'somebody'", "actor"),
    ("what = 'key:999'", "what"),
    ("ip = '192.0.2.8'", "ip"),
    ("result = 'denied'", "result"),
    ("request_id = 'other'", "request_id"),
    ("actor_id = NULL", "actor_id"),
    ("previous = hash", "previous"),
    ("hash = previous", "body or hash"),
    ("actor_kind = 'key'", "actor_kind"),
    ("at = '2026-03-01 12:00:00'", "at"),
    ("seq = 9", "row"),
    ("tenant_id = '00000000000000000000000000000005'", "row"),
    ("body = '[]'", "body"),
    ("body = 'nonsense'", "body"),
]


@pytest.mark.parametrize(("change", "where"), CHANGES)
async def test_a_changed_byte_is_found_and_located(database: Database, change: str, where: str) -> None:
    await record(database, times=5)
    await without_guards(database, f"UPDATE audit_entry SET {change} WHERE seq = 3")
    faults = (await verdict(database)).faults
    assert (3, where) in {(fault.seq, fault.where) for fault in faults}
    assert min(fault.seq for fault in faults) == 3


async def test_a_changed_anchor_is_found_by_the_rows(database: Database) -> None:
    await record(database, times=3)
    async with database.begin() as db:
        await Trail().anchor(db, SYSTEM_TENANT_ID)
    await without_guards(database, "UPDATE db_chain_anchor SET root = head", table=AnchorRow.__table__)
    assert {(fault.seq, fault.where) for fault in (await verdict(database)).faults} == {(3, "anchor")}


async def test_every_single_byte_of_a_row_counts(database: Database) -> None:
    await record(database, times=2)
    async with database.begin() as db:
        body = await db.scalar(text("SELECT body FROM audit_entry WHERE seq = 1"))
    for place in range(0, len(body), 7):
        other = body[:place] + ("x" if body[place] != "x" else "y") + body[place + 1 :]
        await without_guards(database, "UPDATE audit_entry SET body = :body WHERE seq = 1", body=other)
        assert {fault.seq for fault in (await verdict(database)).faults} == {1}
    await without_guards(database, "UPDATE audit_entry SET body = :body WHERE seq = 1", body=body)
    assert (await verdict(database)).intact


async def test_two_entries_that_changed_places_are_found(database: Database) -> None:
    await record(database, times=5)
    for old, new in ((2, 99), (4, 2), (99, 4)):
        await without_guards(database, "UPDATE audit_entry SET seq = :new WHERE seq = :old", old=old, new=new)
    found = {fault.seq for fault in (await verdict(database)).faults}
    assert {2, 4} <= found <= {2, 3, 4, 5}


async def test_every_column_of_a_row_is_guarded(database: Database) -> None:
    columns = {column.name for column in store.AuditRow.__table__.columns}
    tampered = {mark.split(" ")[0] for mark, _ in CHANGES}
    assert tampered == columns
    assert not (await verdict(database)).faults


async def test_a_removed_entry_is_found(database: Database) -> None:
    await record(database, times=5)
    await without_guards(database, "DELETE FROM audit_entry WHERE seq = 2")
    assert (await verdict(database)).faults[0].seq == 2


async def test_entries_removed_from_the_end_are_found(database: Database) -> None:
    await record(database, times=5)
    await without_guards(database, "DELETE FROM audit_entry WHERE seq >= 4")
    assert [fault.seq for fault in (await verdict(database)).faults] == [4]


async def test_an_end_that_was_cut_off_with_its_head_is_found_by_the_anchor(database: Database) -> None:
    await record(database, times=5)
    async with database.begin() as db:
        await Trail().anchor(db, SYSTEM_TENANT_ID)
    await without_guards(database, "DELETE FROM audit_entry WHERE seq >= 4")
    async with database.begin() as db:
        last = await store.read_entry(db, SYSTEM_TENANT_ID, 3)
        await db.execute(update(ChainHeadRow).values(seq=3, hash=bytes.fromhex(last.hash)))
    assert [(fault.seq, fault.where) for fault in (await verdict(database)).faults] == [(4, "anchor")]


async def test_a_stretch_that_was_archived_up_to_an_anchor_may_be_gone(database: Database) -> None:
    await record(database, times=3)
    async with database.begin() as db:
        await Trail().anchor(db, SYSTEM_TENANT_ID)
    await record(database, times=2)
    await without_guards(database, "DELETE FROM audit_entry WHERE seq <= 3")
    found = await verdict(database)
    assert (found.intact, found.checked) == (True, 2)


async def test_an_anchor_covers_what_is_new_and_only_once(database: Database) -> None:
    await record(database, times=3)
    async with database.begin() as db:
        first = await Trail().anchor(db, SYSTEM_TENANT_ID)
        again = await Trail().anchor(db, SYSTEM_TENANT_ID)
    await record(database, times=2)
    async with database.begin() as db:
        second = await Trail().anchor(db, SYSTEM_TENANT_ID)
    assert (first.first_seq, first.last_seq, again) == (1, 3, None)
    assert (second.first_seq, second.last_seq) == (4, 5)
    assert (await verdict(database)).intact


async def test_many_writers_at_once_make_one_unbroken_chain(database: Database) -> None:
    await asyncio.gather(*(record(database, times=2) for _ in range(20)))
    found = await verdict(database)
    assert (found.intact, found.checked) == (True, 40)


WRITER = """
import asyncio, sys
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.testing.context import SmallHouse

async def main():
    database = Database(DatabaseSettings(url=sys.argv[1], busy_time_limit_s=30))
    for number in range(40):
        async with database.begin() as db:
            await SmallHouse().ctx(db).audit("thing.done", f"thing:{number}")
    await database.close()

asyncio.run(main())
"""


async def test_two_processes_make_one_unbroken_chain(database: Database, database_url: str) -> None:
    command = (sys.executable, "-c", WRITER, database_url)
    writers = [await asyncio.create_subprocess_exec(*command) for _ in range(2)]
    assert [await writer.wait() for writer in writers] == [0, 0]
    found = await verdict(database)
    assert (found.intact, found.checked) == (True, 80)


async def test_the_trail_is_searched_by_its_columns(database: Database) -> None:
    await record(database, times=3)
    query = ListQuery(limit=2, filters=(Filter("action", "eq", "key.created"), Filter("actor_id", "eq", UUID(int=7))))
    async with database.begin() as db:
        page = await store.list_entries(db, SYSTEM_TENANT_ID, query)
        nobody = await store.list_entries(db, UUID(int=99), query)
        exported = [entry.seq async for batch in store.batches(db, SYSTEM_TENANT_ID) for entry in batch]
    assert [entry.seq for entry in page.items] == [3, 2]
    assert page.next is not None
    assert nobody.items == ()
    assert exported == [1, 2, 3]


async def test_a_trail_longer_than_one_batch_is_verified_and_exported_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_BATCH", 2)
    await record(database, times=5)
    async with database.begin() as db:
        exported = [entry.seq async for batch in store.batches(db, SYSTEM_TENANT_ID) for entry in batch]
    found = await verdict(database)
    assert exported == [1, 2, 3, 4, 5]
    assert (found.intact, found.checked) == (True, 5)


async def test_a_result_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="audit result"):
        await record(database, result="perhaps")
