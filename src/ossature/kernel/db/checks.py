"""Checks of the database: does it answer, and has it the tables that this version counts on."""

import asyncio
import time
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ossature.kernel.db import migrate
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House

SLOW_MS = 250.0
REDIS_LIMIT_S = 1.5


async def _database(house: "House") -> CheckResult:
    started = time.perf_counter()
    async with house.database.begin() as db:
        await db.scalar(text("SELECT 1"))
    latency_ms = (time.perf_counter() - started) * 1000
    facts = {
        "dialect": house.database.dialect,
        "pool_size": house.database.size,
        "pool_in_use": house.database.in_use,
    }
    if latency_ms > SLOW_MS:
        return CheckResult(
            Health.DEGRADED, f"SELECT 1 took {latency_ms:.0f} ms.", "Look at the load of the database.", facts
        )
    return CheckResult(Health.OK, facts=facts)


@cache
def _newest() -> str | None:
    return migrate.head()


async def _migrations(house: "House") -> CheckResult:
    # Asked every few seconds: a look at one row, without Alembic and its connection of its own.
    async with house.database.begin() as db:
        try:
            at = await db.scalar(text("SELECT version_num FROM alembic_version"))
        except DBAPIError:  # there is no such table before the first migration
            at = None
    newest = _newest()
    facts = {"at": at, "newest": newest}
    if at == newest:
        return CheckResult(Health.OK, facts=facts)
    if at is not None and newest is not None and at > newest:
        # A newer version has migrated already: expand and contract keeps this one working until it is replaced.
        return CheckResult(Health.DEGRADED, f"The database is ahead, at {at}.", "Finish the rollout.", facts)
    return CheckResult(
        Health.DOWN, f"The database is at {at}, this version needs {newest}.", "Run: ossature migrate up", facts
    )


async def _redis(house: "House") -> CheckResult:
    if house.redis is None:
        return CheckResult(Health.OK, "not configured")
    from redis.exceptions import RedisError  # noqa: PLC0415 - the extra is there, or there were no client

    try:
        async with asyncio.timeout(REDIS_LIMIT_S):
            info = await house.redis.info("server")
    except (RedisError, OSError) as error:  # a time limit that is over is an OSError too
        needed = house.config[ObserveSettings].decides("redis", house.config)
        advice = "Until it is back, rate limits count in each process and news between processes is late."
        return CheckResult(
            Health.DOWN if needed else Health.DEGRADED, f"Redis does not answer: {type(error).__name__}.", advice
        )
    return CheckResult(Health.OK, facts={"version": info.get("redis_version", "")})


DATABASE = (
    Check(name="database", run=_database, ready=True),
    Check(name="migrations", run=_migrations, ready=True),
    Check(name="redis", run=_redis, ready=True),
)
"""What is checked of every database."""
