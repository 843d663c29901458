"""Places that wait, who booked, and who is employed.

Revision 0007, after 0006. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("dispatch_booking", schema=None) as batch_op:
        batch_op.add_column(sa.Column("party", sa.String(length=20), server_default="dispatcher", nullable=False))

    with op.batch_alter_table("dispatch_driver", schema=None) as batch_op:
        batch_op.add_column(sa.Column("employed", sa.Boolean(), nullable=True))

    with op.batch_alter_table("dispatch_place", schema=None) as batch_op:
        batch_op.alter_column("lat", existing_type=sa.DOUBLE(), nullable=True)
        batch_op.alter_column("lon", existing_type=sa.DOUBLE(), nullable=True)


def downgrade() -> None:
    # The old form has a position for every place. Only drafts lead to one without, and drafts are never planned.
    op.execute("UPDATE dispatch_place SET lat = 0, lon = 0 WHERE lat IS NULL OR lon IS NULL")
    with op.batch_alter_table("dispatch_place", schema=None) as batch_op:
        batch_op.alter_column("lon", existing_type=sa.DOUBLE(), nullable=False)
        batch_op.alter_column("lat", existing_type=sa.DOUBLE(), nullable=False)

    with op.batch_alter_table("dispatch_driver", schema=None) as batch_op:
        batch_op.drop_column("employed")

    with op.batch_alter_table("dispatch_booking", schema=None) as batch_op:
        batch_op.drop_column("party")
