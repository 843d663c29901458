"""The ledger that the settings ask for."""

from pathlib import Path

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.db.engine import Database
from ossature.kernel.db.redis import RedisSettings, connect
from ossature.kernel.errors import Misconfigured
from ossature.kernel.outbound.ledger.settings import LedgerSettings
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger


def open_ledger(config: Config, database: Database) -> Ledger:
    """A ledger for this process and event loop; nothing is connected before it is first asked.

    Raises: Misconfigured when a setting or an extra is missing.
    """
    settings = config[LedgerSettings]
    if settings.store == "redis":
        return _in_redis(config, settings)
    if database.embedded:
        if not database.url.database:
            msg = "The quota ledger needs a SQLite file: processes share it."
            raise Misconfigured(msg)
        return SqliteLedger(
            Path(database.url.database), durability=settings.durability, busy_time_limit_s=settings.time_limit_s
        )
    return _in_postgres(settings, database)


def _in_redis(config: Config, settings: LedgerSettings) -> Ledger:
    redis = config[RedisSettings]
    client = connect(redis)
    from ossature.kernel.outbound.ledger.redis import RedisLedger  # noqa: PLC0415 - the extra is there, says connect()

    return RedisLedger(
        client,
        prefix=f"{redis.prefix}ledger",
        time_source="server" if clock.is_real() else "process",
        time_limit_s=settings.time_limit_s,
    )


def _in_postgres(settings: LedgerSettings, database: Database) -> Ledger:
    try:
        from ossature.kernel.outbound.ledger.postgres import PostgresLedger  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "PostgreSQL needs the extra: pip install 'ossature[postgres]'."
        raise Misconfigured(msg) from error
    return PostgresLedger(
        settings.url or database.settings.direct_url or database.settings.system_url or database.settings.url,
        durability=settings.durability,
        time_source="server" if clock.is_real() else "process",
        time_limit_s=settings.time_limit_s,
    )
