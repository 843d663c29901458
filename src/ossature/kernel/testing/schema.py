"""Every table of the house in an empty database, without walking the history of migrations."""

import importlib
import pkgutil

from sqlalchemy import Connection

import ossature
from ossature.kernel.db import appendonly
from ossature.kernel.db.engine import Database
from ossature.kernel.db.table import Table


def import_stores() -> None:
    """Import every `store`, so that `Table` knows every table."""
    for module in pkgutil.walk_packages(ossature.__path__, "ossature."):
        if "store" in module.name.split(".") and ".sim" not in module.name:
            importlib.import_module(module.name)


async def create(database: Database) -> None:
    """Make all tables of all rooms, with the guards of those that are append-only."""
    import_stores()
    if database.embedded:
        with database.sqlite.begin() as connection:
            _create(connection)
        return
    async with database.postgres.begin() as connection:
        await connection.run_sync(_create)


def _create(connection: Connection) -> None:
    Table.metadata.create_all(connection)
    appendonly.lay(connection)
