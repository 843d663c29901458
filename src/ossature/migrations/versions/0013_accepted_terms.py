"""Accepted terms.

Revision 0013, after 0012. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "legal_acceptance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Date(), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_legal_acceptance_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_acceptance")),
    )
    with op.batch_alter_table("legal_acceptance", schema=None) as batch_op:
        batch_op.create_index("ix_legal_acceptance_tenant_created_at", ["tenant_id", "created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_legal_acceptance_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index("ux_legal_acceptance_user", ["tenant_id", "user_id", "kind", "version"], unique=True)


def downgrade() -> None:
    with op.batch_alter_table("legal_acceptance", schema=None) as batch_op:
        batch_op.drop_index("ux_legal_acceptance_user")
        batch_op.drop_index(batch_op.f("ix_legal_acceptance_tenant_id"))
        batch_op.drop_index("ix_legal_acceptance_tenant_created_at")

    op.drop_table("legal_acceptance")
