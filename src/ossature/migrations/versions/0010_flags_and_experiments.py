"""Flags and experiments.

Revision 0010, after 0009. Flags of the house and of tenants, who was shown which variant, and what they reached.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "tenants_flag",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("variants", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("off", sa.String(), nullable=False),
        sa.Column("shares", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("rules", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("goal", sa.String(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("killed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("killed_why", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_tenants_flag_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants_flag")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_tenants_flag_tenant_id_name")),
    )
    with op.batch_alter_table("tenants_flag", schema=None) as batch_op:
        batch_op.create_index("ix_tenants_flag_tenant_created_at", ["tenant_id", "created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tenants_flag_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "tenants_flag_exposure",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("flag", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_tenants_flag_exposure_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "owner_id", "flag", "round", "subject", name=op.f("pk_tenants_flag_exposure")
        ),
    )
    with op.batch_alter_table("tenants_flag_exposure", schema=None) as batch_op:
        batch_op.create_index("ix_tenants_flag_exposure_at", ["at"], unique=False)
        batch_op.create_index("ix_tenants_flag_exposure_flag", ["owner_id", "flag", "round"], unique=False)

    op.create_table(
        "tenants_flag_outcome",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("goal", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("amount", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_tenants_flag_outcome_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants_flag_outcome")),
    )
    with op.batch_alter_table("tenants_flag_outcome", schema=None) as batch_op:
        batch_op.create_index("ix_tenants_flag_outcome_at", ["at"], unique=False)
        batch_op.create_index("ix_tenants_flag_outcome_goal", ["tenant_id", "goal", "subject", "at"], unique=False)
        batch_op.create_index(batch_op.f("ix_tenants_flag_outcome_tenant_id"), ["tenant_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("tenants_flag_outcome", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tenants_flag_outcome_tenant_id"))
        batch_op.drop_index("ix_tenants_flag_outcome_goal")
        batch_op.drop_index("ix_tenants_flag_outcome_at")

    op.drop_table("tenants_flag_outcome")
    with op.batch_alter_table("tenants_flag_exposure", schema=None) as batch_op:
        batch_op.drop_index("ix_tenants_flag_exposure_flag")
        batch_op.drop_index("ix_tenants_flag_exposure_at")

    op.drop_table("tenants_flag_exposure")
    with op.batch_alter_table("tenants_flag", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tenants_flag_tenant_id"))
        batch_op.drop_index("ix_tenants_flag_tenant_created_at")

    op.drop_table("tenants_flag")
