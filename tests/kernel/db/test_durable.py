"""A journal's transaction is on the disk when it is committed, whatever is set for all others."""

from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, select, text

from ossature.kernel.db.engine import Database
from ossature.kernel.db.lease import LeaseRow
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import Db

_LEASE = {"fence": 1, "holder": {}, "expires_at_s": 0.0}


async def _synchronous(db: Db) -> str:
    await db.execute(insert(LeaseRow).values(name=f"durable-{uuid4()}", **_LEASE))
    asked = "PRAGMA synchronous" if db.dialect == "sqlite" else "SHOW synchronous_commit"
    return str(await db.scalar(text(asked)))


async def test_a_durable_transaction_waits_for_the_disk_and_others_do_not(database: Database) -> None:
    if not database.embedded:
        async with database.begin() as db:
            name = await db.scalar(text("SELECT current_database()"))
        await database.close()
        async with database.begin() as db:
            await db.write_text(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        await database.close()

    async with database.begin() as db:
        plainly = await _synchronous(db)
    async with database.begin(durable=True) as db:
        durably = await _synchronous(db)
    async with database.begin() as db:
        after = await _synchronous(db)

    assert (plainly, durably, after) == (("1", "2", "1") if database.embedded else ("off", "on", "off"))


async def test_what_a_durable_view_wrote_is_seen_by_the_others(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(DatabaseSettings(url=sqlite_url), var_dir=tmp_path)
    async with database.begin(durable=True) as db:
        await db.execute(insert(LeaseRow).values(name="journal", **_LEASE))

    async with database.begin() as db:
        assert await db.scalar(select(LeaseRow.fence).where(LeaseRow.name == "journal")) == 1
    await database.close()
