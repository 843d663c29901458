"""Signed requests and denied addresses.

Revision 0015, after 0014. Add columns and tables freely; whatever takes something away
needs a text `contract = "..."` here that says since when nobody uses the old form (expand and contract).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "auth_address",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("denied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("denied_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_auth_address")),
    )
    with op.batch_alter_table("auth_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_address_denied_until"), ["denied_until"], unique=False)

    op.create_table(
        "auth_signature_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["auth_key.id"], name=op.f("fk_auth_signature_key_key_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_auth_signature_key_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auth_signature_key")),
    )
    with op.batch_alter_table("auth_signature_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_signature_key_key_id"), ["key_id"], unique=False)
        batch_op.create_index(
            "ix_auth_signature_key_tenant_created_at", ["tenant_id", "created_at", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_auth_signature_key_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "ix_auth_signature_key_tenant_key", ["tenant_id", "key_id", "created_at", "id"], unique=False
        )

    op.create_table(
        "auth_signature_nonce",
        sa.Column("signing_key_id", sa.Uuid(), nullable=False),
        sa.Column("nonce", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["signing_key_id"],
            ["auth_signature_key.id"],
            name=op.f("fk_auth_signature_nonce_signing_key_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants_tenant.id"], name=op.f("fk_auth_signature_nonce_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("signing_key_id", "nonce", name=op.f("pk_auth_signature_nonce")),
    )
    with op.batch_alter_table("auth_signature_nonce", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_signature_nonce_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_auth_signature_nonce_tenant_id"), ["tenant_id"], unique=False)

    with op.batch_alter_table("auth_key", schema=None) as batch_op:
        batch_op.add_column(sa.Column("signed_only", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("auth_key", schema=None) as batch_op:
        batch_op.drop_column("signed_only")

    with op.batch_alter_table("auth_signature_nonce", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_signature_nonce_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_auth_signature_nonce_expires_at"))

    op.drop_table("auth_signature_nonce")
    with op.batch_alter_table("auth_signature_key", schema=None) as batch_op:
        batch_op.drop_index("ix_auth_signature_key_tenant_key")
        batch_op.drop_index(batch_op.f("ix_auth_signature_key_tenant_id"))
        batch_op.drop_index("ix_auth_signature_key_tenant_created_at")
        batch_op.drop_index(batch_op.f("ix_auth_signature_key_key_id"))

    op.drop_table("auth_signature_key")
    with op.batch_alter_table("auth_address", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_address_denied_until"))

    op.drop_table("auth_address")
