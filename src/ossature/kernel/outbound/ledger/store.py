"""The ledger's tables.

They are read and written below SQLAlchemy, by the back-ends beside this file; instants are microseconds since 1970
(see `windows`).
"""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.db.table import OUTLIVES_TENANT, Table


class WindowRow(Table):
    """A cell: a fixed window, a tenth of a sliding one, or one instant of an exact log.

    used, reserved: sums over attempts; archived: the part of `used` whose attempts have been pruned. outside: what the
    upstream counted and we did not. cap: the limit when the cell was last written.
    """

    __tablename__ = "outbound_window"
    __table_args__ = (Index("ix_outbound_window_ends_us", "ends_us"), {"sqlite_with_rowid": False})

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    starts_us: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ends_us: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(10))
    cap: Mapped[int] = mapped_column(BigInteger)
    used: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reserved: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    outside: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    archived: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class PaceRow(Table):
    """The head of a window, one row whatever its kind: what concurrent ledgers lock, in the order of names.

    next_us: the next free slot of a `pace`. held_until_us: the upstream said that nothing goes before.
    """

    __tablename__ = "outbound_pace"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    next_us: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    held_until_us: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class AttemptRow(Table):
    """One try to reach an upstream. takes: [[window, cell, unit, units reserved, units charged], ...].

    tenant_id refers to no table: an attempt outlives its tenant, since the counters must still be its sum.
    """

    __tablename__ = "outbound_attempt"
    __table_args__ = (
        Index(
            "ix_outbound_attempt_open",
            "expires_us",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_outbound_attempt_finished_us", "finished_us"),
        {
            "sqlite_with_rowid": False,
            "info": {
                OUTLIVES_TENANT: "counters that all tenants share are the sum of attempts; pruned some days later"
            },
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    request_id: Mapped[str] = mapped_column(String(100))
    provider: Mapped[str] = mapped_column(String(100))
    operation: Mapped[str] = mapped_column(String(100))
    takes: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(String(40), server_default=text("''"))
    estimated: Mapped[bool] = mapped_column(server_default=text("false"))
    created_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
