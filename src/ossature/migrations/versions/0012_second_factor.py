"""Second factor.

Revision 0012, after 0011. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "auth_recovery",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_auth_recovery_tenant_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["auth_user.id"], name=op.f("fk_auth_recovery_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_auth_recovery")),
    )
    with op.batch_alter_table("auth_recovery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_recovery_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_auth_recovery_user_id"), ["user_id"], unique=False)

    op.create_table(
        "auth_totp",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_auth_totp_tenant_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["auth_user.id"], name=op.f("fk_auth_totp_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_auth_totp")),
    )
    with op.batch_alter_table("auth_totp", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_totp_tenant_id"), ["tenant_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("auth_totp", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_totp_tenant_id"))

    op.drop_table("auth_totp")
    with op.batch_alter_table("auth_recovery", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_recovery_user_id"))
        batch_op.drop_index(batch_op.f("ix_auth_recovery_tenant_id"))

    op.drop_table("auth_recovery")
