"""Signed links and confirmed addresses.

Revision 0011, after 0010. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "links_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_links_link_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links_link")),
        sa.UniqueConstraint("digest", name=op.f("uq_links_link_digest")),
    )
    with op.batch_alter_table("links_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_links_link_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index("ix_links_link_subject", ["tenant_id", "scope", "subject"], unique=False)
        batch_op.create_index("ix_links_link_tenant_created_at", ["tenant_id", "created_at", "id"], unique=False)
        batch_op.create_index("ix_links_link_tenant_expires_at", ["tenant_id", "expires_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_links_link_tenant_id"), ["tenant_id"], unique=False)

    with op.batch_alter_table("auth_user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("auth_user", schema=None) as batch_op:
        batch_op.drop_column("email_verified_at")

    with op.batch_alter_table("links_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_links_link_tenant_id"))
        batch_op.drop_index("ix_links_link_tenant_expires_at")
        batch_op.drop_index("ix_links_link_tenant_created_at")
        batch_op.drop_index("ix_links_link_subject")
        batch_op.drop_index(batch_op.f("ix_links_link_expires_at"))

    op.drop_table("links_link")
