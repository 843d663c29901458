"""Steps of a revision that leave a table to its readers and writers: for tables that are large and in use.

    def upgrade() -> None:
        online.create_index("ix_shop_order_state", "shop_order", ["tenant_id", "state"])

Such a step cannot be undone with the rest of its revision, so it stands in a revision of its own; one that was
interrupted is simply run again. Source: PostgreSQL, CREATE INDEX, "Building Indexes Concurrently".
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import text

_LIMITS = ("lock_timeout", "statement_timeout")
_STATE = text(
    "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE c.relname = :name AND pg_table_is_visible(c.oid)"
)


def create_index(name: str, table: str, columns: Sequence[Any], **options: Any) -> None:
    """Build an index while others write. columns, options: as `op.create_index` takes them (`unique`, ...).

    What an interrupted build has left, which no query uses and every write pays for, is removed first. On SQLite, which
    has one writer in any case, and on the way back, it is a plain index.
    """
    context = op.get_context()
    if context.dialect.name != "postgresql":
        op.create_index(name, table, columns, **options)
        return
    valid = op.get_bind().execute(_STATE, {"name": name}).scalar()
    if valid:
        return
    limits = {limit: op.get_bind().execute(text(f"SHOW {limit}")).scalar_one() for limit in _LIMITS}
    with context.autocommit_block():
        # It waits for every transaction that is older, and holds nobody up meanwhile.
        for limit in limits:
            op.execute(f"SET {limit} = 0")
        try:
            if valid is not None:
                op.drop_index(name, table, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True, **options)
        finally:
            for limit, before in limits.items():
                op.execute(f"SET {limit} = '{before}'")
