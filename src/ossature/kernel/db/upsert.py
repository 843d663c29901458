"""An INSERT that may meet a row that is there already, on both databases."""

from typing import cast

from sqlalchemy.dialects import postgresql, sqlite

from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db


def upsert(db: Db, table: type[Table]) -> sqlite.Insert:
    """An insert with `on_conflict_do_update` and `on_conflict_do_nothing`, in the words of the database behind `db`."""
    if db.dialect == "sqlite":
        return sqlite.insert(table)
    # Both dialects give these two methods the same form, and no common base for it.
    return cast("sqlite.Insert", postgresql.insert(table))
