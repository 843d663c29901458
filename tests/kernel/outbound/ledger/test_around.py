"""What stands around the ledger: the local bucket, the choice of a back-end, the jobs."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ossature.kernel.config import Config
from ossature.kernel.db.engine import Database
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.outbound.ledger import jobs
from ossature.kernel.outbound.ledger.local import LocalBucket
from ossature.kernel.outbound.ledger.opening import open_ledger
from ossature.kernel.outbound.ledger.postgres import PostgresLedger
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.settings import LedgerSettings
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger, Refused, Reserved, Take

from .conftest import SetClock, a_window, an_attempt


def test_the_local_bucket_gives_a_tenth_of_a_limit(at: SetClock) -> None:
    bucket, window = LocalBucket(), a_window(limit=39)
    answers = [bucket.reserve(an_attempt(window)) for _ in range(5)]
    assert [isinstance(each, Reserved) for each in answers] == [True, True, True, False, False]
    assert answers[3] == Refused(window, 60.0)
    at.forward(seconds=60)
    assert isinstance(bucket.reserve(an_attempt(window)), Reserved)


@pytest.mark.parametrize("kind", ["sliding", "log"])
def test_the_local_bucket_counts_rolling_windows(at: SetClock, kind: str) -> None:
    bucket, window = LocalBucket(), a_window(kind=kind, limit=20, seconds=10.0)
    for _ in range(2):
        assert isinstance(bucket.reserve(an_attempt(window)), Reserved)
        at.forward(seconds=5)
    at.forward(seconds=-1)
    assert isinstance(bucket.reserve(an_attempt(window)), Refused)
    at.forward(seconds=3)
    assert isinstance(bucket.reserve(an_attempt(window)), Reserved)


def test_the_local_bucket_keeps_a_tenth_of_a_pace(at: SetClock) -> None:
    bucket, window = LocalBucket(), a_window(kind="pace", limit=20, seconds=1.0)
    first, second = (bucket.reserve(an_attempt(window)) for _ in range(2))
    assert isinstance(first, Reserved)
    assert isinstance(second, Reserved)
    assert (first.wait_s, second.wait_s) == (0.0, 0.5)
    at.forward(seconds=9)


async def test_the_settings_choose_where_quotas_are_counted(tmp_path: Path) -> None:
    embedded = Database(DatabaseSettings(), var_dir=tmp_path)
    served = Database(DatabaseSettings(url="postgresql+asyncpg://postgres@127.0.0.1/x"))
    redis = Config([LedgerSettings(store="redis"), RedisSettings(url="redis://127.0.0.1:6379")])  # type: ignore[arg-type]
    opened: list[tuple[Ledger, type]] = [
        (open_ledger(Config([]), embedded), SqliteLedger),
        (open_ledger(Config([]), served), PostgresLedger),
        (open_ledger(redis, embedded), RedisLedger),
    ]
    for ledger, kind in opened:
        assert isinstance(ledger, kind)
        await ledger.close()
    await embedded.close()
    await served.close()


def test_redis_as_the_store_needs_a_redis(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="OSSATURE_REDIS_URL"):
        open_ledger(Config([LedgerSettings(store="redis")]), Database(DatabaseSettings(), var_dir=tmp_path))


def test_full_durability_in_redis_is_said_to_depend_on_the_server() -> None:
    config, findings = Config.examine(
        [LedgerSettings], {"OSSATURE_LEDGER_STORE": "redis", "OSSATURE_LEDGER_DURABILITY": "full"}
    )
    assert config[LedgerSettings].durability == "full"
    assert [finding.setting for finding in findings] == ["OSSATURE_LEDGER_DURABILITY"]


async def test_the_jobs_reap_verify_and_prune(ledger: Ledger, at: SetClock) -> None:
    ctx: Any = SimpleNamespace(port=lambda _: ledger, settings=Config([]))
    for _ in range(3):
        await ledger.reserve(an_attempt(Take(a_window(), 2)))
    at.forward(minutes=2)
    assert await jobs.reap_attempts(ctx) == 3
    assert await jobs.verify_ledger(ctx) == 0
    at.forward(days=401)
    assert await jobs.prune_ledger(ctx) == {"attempts": 3, "windows": 1}
    assert {job.name.partition(".")[0] for job in jobs.JOBS} == {"outbound"}
    assert timedelta(0) < timedelta(seconds=min(job.time_limit_s for job in jobs.JOBS))
