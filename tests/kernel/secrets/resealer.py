"""Processes for the tests of re-encryption: one that seals anew and can be killed, one that writes all the while."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from ossature.kernel.crypto.kept import RingFile
from ossature.kernel.crypto.ring import KeyRing
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.secrets.usecases import SealedColumns
from ossature.kernel.webhooks import store

COLUMNS = (store.SECRET_OF, store.OLD_SECRET_OF)


async def reseal(database: Database) -> None:
    """Seal anew, five rows at a time; after each batch wait for a line."""

    def told(_column: str, done: int) -> None:
        print(done, flush=True)
        sys.stdin.readline()

    await SealedColumns(database, COLUMNS, secret=b"house", batch=5).reseal(told)
    print("whole", flush=True)


async def write(database: Database, tenant_id: UUID, endpoints: list[UUID]) -> None:
    """Give every endpoint one secret after the other, until a line comes; print the last one of each."""
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    number = 0
    while number == 0 or not stopped.done():
        number += 1
        for one in endpoints:
            async with database.begin() as db:
                secret = f"whsec_{one}_{number}"
                await store.put_secret(db, tenant_id, one, secret, old=None, until=datetime(2030, 1, 1, tzinfo=UTC))
        if number == 1:
            print("writing", flush=True)
    print(number, flush=True)


async def main(how: str, url: str, ring: str, *rest: str) -> None:
    database = Database(DatabaseSettings(url=url, busy_time_limit_s=60), ring=KeyRing(RingFile(Path(ring))))
    try:
        if how == "reseal":
            await reseal(database)
        else:
            tenant_id, *endpoints = map(UUID, rest)
            await write(database, tenant_id, endpoints)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
