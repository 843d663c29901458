"""One run of a day at a time.

Revision 0009, after 0008. Of two that were asked for in the same moment, the database lets one in.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from ossature.kernel.db import online

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_ACTIVE = "state IN ('queued', 'running')"


def upgrade() -> None:
    # Of runs that were let in together, the latest goes on.
    op.execute(
        "UPDATE dispatch_run SET state = 'failed', reason = 'lost' WHERE state IN ('queued', 'running') AND EXISTS ("
        "SELECT 1 FROM dispatch_run other WHERE other.state IN ('queued', 'running') "
        "AND other.tenant_id = dispatch_run.tenant_id AND other.day = dispatch_run.day AND other.id > dispatch_run.id)"
    )
    online.create_index(
        "ix_dispatch_run_active", "dispatch_run", ["tenant_id", "day"], unique=True,
        sqlite_where=sa.text(_ACTIVE), postgresql_where=sa.text(_ACTIVE),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_dispatch_run_active", "dispatch_run")
