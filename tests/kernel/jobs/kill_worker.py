"""A worker process for the test that kills it: runs `test.effects` until it is killed or told to stop."""

import asyncio
import json
import random
import signal
import sqlite3
import sys
from types import SimpleNamespace
from typing import Any

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport.broker import open_transport
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Backoff, Job

OUTSIDE = "outside.db"


async def effects(ctx: Any, number: int) -> None:
    """Two effects: one in our database, in the job's transaction, and one outside, with a key."""
    await asyncio.sleep(random.uniform(0, 0.2))
    with sqlite3.connect(ctx.outside, timeout=20) as outside:
        outside.execute("INSERT INTO run VALUES (?)", (number,))
        outside.execute("INSERT OR IGNORE INTO keyed VALUES (?)", (number,))
    await ctx.db.write_text("INSERT INTO test_effect VALUES (:number, 0)", {"number": number})
    await asyncio.sleep(random.uniform(0, 0.002))
    await ctx.db.write_text("INSERT INTO test_effect VALUES (:number, 1)", {"number": number})


EFFECTS = Job(name="test.effects", run=effects, attempts=30, backoff=Backoff(first_s=0.05, most_s=0.2))


async def main(database_url: str, outside: str, settings: str) -> None:
    database = Database(DatabaseSettings(url=database_url))
    read = JobSettings(**json.loads(settings))
    jobs = Jobs(database, {EFFECTS.name: EFFECTS}, read, open_transport(read))

    async def make_ctx(_claim: Any, db: Any) -> Any:
        return SimpleNamespace(db=db, outside=outside)

    worker = Worker(jobs, make_ctx, concurrency=10)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await jobs.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
