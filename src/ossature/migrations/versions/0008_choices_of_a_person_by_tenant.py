"""Choices of a person by tenant.

Revision 0008, after 0007. Who is a member of two tenants chooses for each of them what to be told, and when.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

contract = "0008: the primary key begins with the tenant and serves what the index of the tenant alone served"

_KEYS = {"notify_preference": ["person_id", "notice", "channel"], "notify_quiet": ["person_id"]}


def upgrade() -> None:
    for table, key in _KEYS.items():
        op.drop_index(f"ix_{table}_tenant_id", table)
        _set_key(table, ["tenant_id", *key])


def downgrade() -> None:
    for table, key in _KEYS.items():
        same = " AND ".join(f"other.{column} = {table}.{column}" for column in key)
        # Of choices for several tenants the old form holds one.
        op.execute(
            f"DELETE FROM {table} WHERE EXISTS "  # noqa: S608 - names of our own
            f"(SELECT 1 FROM {table} other WHERE {same} AND other.tenant_id < {table}.tenant_id)"
        )
        _set_key(table, key)
        with op.batch_alter_table(table) as batch_op:
            batch_op.create_index(f"ix_{table}_tenant_id", ["tenant_id"], unique=False)


def _set_key(table: str, key: Sequence[str]) -> None:
    """Give a table another primary key. A few rows for each person: the lock is short, and has its limit."""
    if op.get_context().dialect.name == "postgresql":
        columns = ", ".join(key)
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}, ADD CONSTRAINT pk_{table} PRIMARY KEY ({columns})")
        return
    now = sa.Table(table, sa.MetaData(), autoload_with=op.get_bind())
    now.constraints.discard(now.primary_key)
    for column in now.columns:
        column.primary_key = column.name in key
    now.append_constraint(sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"))
    with op.batch_alter_table(table, copy_from=now, recreate="always"):
        """SQLite has no other way than a new table, into which the rows are taken along."""
