"""How service levels were kept.

Revision 0014, after 0013. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "http_route_hour",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("endpoint", sa.String(length=300), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("slow", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("unavailable", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "method", "endpoint", name=op.f("pk_http_route_hour")),
    )


def downgrade() -> None:
    op.drop_table("http_route_hour")
